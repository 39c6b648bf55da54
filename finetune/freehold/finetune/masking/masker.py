"""Which tokens of an example are learnt: the assistant's and their end of turn, by the model's own template."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from freehold.core.dataset.examples import Conversation, Judged, Message, Origin, PlainText, Preference
from freehold.finetune.masking.template import ChatTemplate, TemplateError, place, shows
from freehold.finetune.masking.turns import Turn, read_turn


@dataclass(frozen=True, slots=True)
class MaskedExample:
    """Tokens to train on. What follows the last learnt token is not part of it."""

    origin: Origin
    token_ids: tuple[int, ...]
    trained: tuple[bool, ...]
    """One for each token: whether the loss counts it."""

    def __len__(self) -> int:
        return len(self.token_ids)


class Masker:
    """Masks for one tokenizer and template."""

    def __init__(
        self,
        tokenizer: Any,
        *,
        chat_template: str | None = None,
        stop_token_ids: Iterable[int] = (),
        template_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """`stop_token_ids` are the engine's besides the tokenizer's own end token (generation_config.json);
        `template_arguments` must be what requests will send as `chat_template_kwargs`.
        """
        self.tokenizer = tokenizer
        self.template = ChatTemplate(tokenizer, source=chat_template, arguments=template_arguments)
        own = () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)
        self.stop_token_ids = frozenset((*own, *stop_token_ids))

    def mask(self, example: Conversation | PlainText) -> list[MaskedExample]:
        """One example, or more where the template rewrites earlier turns (Qwen3 drops their reasoning).

        Each assistant turn is learnt once, after exactly the tokens that the engine would be given before it.
        Raises TemplateError.
        """
        if isinstance(example, PlainText):
            return [self._plain(example)]
        self._check_shown(example)
        turns = [
            self._turn(example.messages[: i + 1], example.tools, example.origin) for i in _learnt(example.messages)
        ]
        return _joined(turns, example.origin)

    def prompt_ids(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]] = ()) -> list[int]:
        """What the engine would be given to answer these messages. Raises TemplateError."""
        return list(self.template.tokens(self.template.render(messages, tools, prompt=True)))

    def preference(self, example: Preference) -> tuple[list[int], list[int], list[int]]:
        """Token ids of the prompt, of the better and of the worse answer, both with their end. Raises TemplateError."""
        chosen = self._turn((*example.prompt, *example.chosen), example.tools, example.origin)
        rejected = self._turn((*example.prompt, *example.rejected), example.tools, example.origin)
        return list(chosen.prompt_ids), list(chosen.answer_ids), list(rejected.answer_ids)

    def judged(self, example: Judged) -> tuple[list[int], list[int]]:
        """Token ids of the prompt and of the answer with its end. Raises TemplateError."""
        turn = self._turn((*example.prompt, *example.answer), example.tools, example.origin)
        return list(turn.prompt_ids), list(turn.answer_ids)

    def _turn(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]], origin: Origin) -> Turn:
        return read_turn(self.template, self.stop_token_ids, messages, tools, origin)

    def _plain(self, example: PlainText) -> MaskedExample:
        end = self.tokenizer.eos_token_id
        if end is None:
            raise TemplateError("The tokenizer has no end token", why="a model that learnt this would never stop")
        token_ids = list(self.tokenizer(example.text, verbose=False)["input_ids"])
        if not token_ids or token_ids[-1] != end:
            token_ids.append(end)
        # Nothing predicts the token that begins a text.
        trained = (token_ids[0] != self.tokenizer.bos_token_id, *(True for _ in token_ids[1:]))
        return MaskedExample(example.origin, tuple(token_ids), trained)

    def _check_shown(self, example: Conversation) -> None:
        """The prompt of the last learnt turn must hold what the example says besides the assistant's words."""
        last = _learnt(example.messages)[-1]
        before = example.messages[:last]
        text = self.template.render(before, example.tools, prompt=True, origin=example.origin)
        if example.tools and text == self.template.render(before, prompt=True, origin=example.origin):
            raise TemplateError(
                f"{place(example.origin)}the template ignores tools",
                why="the prompt is the same with and without them, so calls would be learnt that nothing announces",
                next_step="Use a model that was made for tools, or give it a template that writes them.",
            )
        for index, message in enumerate(before):
            if message["role"] != "assistant" and not shows(text, message["content"]):
                raise TemplateError(
                    f"{place(example.origin)}the template leaves out or changes messages[{index}]",
                    why=f"the {message['role']}'s {message['content'][:40]!r} is not in the prompt as it was written",
                    next_step="Leave the message out, or give the model a template that keeps it.",
                )


def _learnt(messages: Sequence[Message]) -> list[int]:
    """Indices of the assistant turns that the loss counts."""
    return [i for i, message in enumerate(messages) if message["role"] == "assistant" and message.get("weight") != 0]


def _joined(turns: Sequence[Turn], origin: Origin) -> list[MaskedExample]:
    """As few examples as hold each turn after its own prompt: a turn joins a later one whose prompt begins with it."""
    hosts: list[tuple[Turn, list[Turn]]] = []
    for turn in reversed(turns):
        length = len(turn.token_ids)
        found = next((guests for host, guests in hosts if host.token_ids[:length] == turn.token_ids), None)
        if found is None:
            hosts.append((turn, [turn]))
        else:
            found.append(turn)
    return [_masked(host, guests, origin) for host, guests in reversed(hosts)]


def _masked(host: Turn, guests: Sequence[Turn], origin: Origin) -> MaskedExample:
    trained = [False] * len(host.token_ids)
    for guest in guests:
        start, end = len(guest.prompt_ids), len(guest.token_ids)
        trained[start:end] = [True] * (end - start)
    return MaskedExample(origin, host.token_ids, tuple(trained))
