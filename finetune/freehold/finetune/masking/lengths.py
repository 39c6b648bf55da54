"""Examples longer than the limit: refused with their lines, or split at turns and said so. Never cut."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from freehold.core.dataset.examples import Conversation, Message, Origin, PlainText
from freehold.core.errors import UserError
from freehold.finetune.masking.masker import MaskedExample, Masker

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Split:
    """An example that was too long, and became several."""

    origin: Origin
    length: int
    """In tokens, before."""
    pieces: int

    def __str__(self) -> str:
        return f"{self.origin}: {self.length} tokens, split into {self.pieces} examples"


@dataclass(frozen=True, slots=True)
class Fitted:
    """Examples that are all within the limit."""

    examples: tuple[MaskedExample, ...]
    split: tuple[Split, ...] = ()


class OverLongError(UserError):
    """Examples over the limit; `over` holds each with its length in tokens."""

    code = "over_long"

    def __init__(self, over: Sequence[tuple[Origin, int]], limit: int, *, next_step: str) -> None:
        listed = [f"  - {origin}: {length} tokens" for origin, length in over[:_SHOWN]]
        if len(over) > _SHOWN:
            listed.append(f"  - and {len(over) - _SHOWN} more; `freehold dataset check --model` lists them all")
        super().__init__(f"{len(over)} examples are longer than {limit} tokens", next_step=next_step)
        self.over = tuple(over)
        self.listed = listed

    def __str__(self) -> str:
        return "\n".join((f"{self.what}:", *self.listed))


def mask_within(
    masker: Masker,
    examples: Iterable[Conversation | PlainText],
    limit: int,
    over_long: Literal["refuse", "split"] = "refuse",
) -> Fitted:
    """Mask every example. Raises OverLongError with all that are over the limit and may not, or cannot, be split."""
    fitting: list[MaskedExample] = []
    split: list[Split] = []
    over: list[tuple[Origin, int]] = []
    for example in examples:
        masked = masker.mask(example)
        length = max(map(len, masked))
        if length <= limit:
            fitting += masked
            continue
        pieces = split_to_fit(masker, example, limit) if over_long == "split" else None
        if pieces is None:
            over.append((example.origin, length))
        else:
            fitting += pieces
            split.append(Split(example.origin, length, len(pieces)))
    if over:
        remedy = "Shorten them or raise `training.maxLength`"
        if over_long == "refuse":
            remedy += ", or write `data: {overLong: split}` to split them at turns"
        else:
            remedy += ": one turn alone, with what must precede it, is over the limit"
        raise OverLongError(over, limit, next_step=f"{remedy}.")
    return Fitted(tuple(fitting), tuple(split))


def split_to_fit(masker: Masker, example: Conversation | PlainText, limit: int) -> list[MaskedExample] | None:
    """Pieces within the limit that together learn every token once; None where one exchange alone is over it.

    A chat is split before user messages, and each piece keeps the system message: later pieces do not see earlier
    ones. Plain text is split anywhere.
    """
    if isinstance(example, PlainText):
        return list(_windows(masker, masker.mask(example)[0], limit))
    pieces: list[MaskedExample] = []
    for conversation in _conversations(masker, example, limit):
        masked = masker.mask(conversation)
        if max(map(len, masked)) > limit:
            return None
        pieces += masked
    return pieces


def _windows(masker: Masker, masked: MaskedExample, limit: int) -> Iterator[MaskedExample]:
    begins = masked.token_ids[:1] if masked.token_ids[0] == masker.tokenizer.bos_token_id else ()
    body, room = masked.token_ids[len(begins) :], limit - len(begins)
    for start in range(0, len(body), max(1, room)):
        part = body[start : start + room]
        yield MaskedExample(masked.origin, begins + part, (False,) * len(begins) + (True,) * len(part))


def _conversations(masker: Masker, example: Conversation, limit: int) -> Iterator[Conversation]:
    """As many exchanges together as fit; one that does not fit alone comes alone."""
    head, exchanges = _exchanges(example.messages)
    current: tuple[Message, ...] = ()
    for exchange in exchanges:
        longer = replace(example, messages=head + current + exchange)
        if current and _is_learnt(longer.messages) and max(map(len, masker.mask(longer))) > limit:
            if _is_learnt(current):
                yield replace(example, messages=head + current)
            current = ()
        current += exchange
    if _is_learnt(current):
        yield replace(example, messages=head + current)


def _exchanges(messages: Sequence[Message]) -> tuple[tuple[Message, ...], list[tuple[Message, ...]]]:
    """The system messages at the head, and the rest cut before each user message that follows another's message."""
    start = next((i for i, m in enumerate(messages) if m["role"] not in ("system", "developer")), len(messages))
    exchanges: list[tuple[Message, ...]] = []
    for index, message in enumerate(messages[start:], start=start):
        if not exchanges or (message["role"] == "user" and messages[index - 1]["role"] != "user"):
            exchanges.append(())
        exchanges[-1] += (message,)
    return tuple(messages[:start]), exchanges


def _is_learnt(messages: Sequence[Message]) -> bool:
    return any(message["role"] == "assistant" and message.get("weight") != 0 for message in messages)
