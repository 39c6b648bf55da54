"""What a model's tokenizer and template say of an example: too long, not renderable, and what would be learnt."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from freehold.core.dataset.examples import Conversation, Example, Judged, Origin, PlainText, Preference
from freehold.core.dataset.problems import Findings
from freehold.finetune.masking import MaskedExample, Masker, TemplateError, split_to_fit

SAMPLES = 3


@dataclass
class TokenCheck:
    """A `Look` of `core.dataset.checking`. Keeps lengths, and the first few masks."""

    masker: Masker
    limit: int | None
    """The longest example in tokens, the model's context or less; None where nobody knows."""
    over_long: Literal["refuse", "split"] = "refuse"
    lengths: "array[int]" = field(default_factory=lambda: array("L"))
    """Tokens of each example to train on: split ones count in their pieces."""
    trained_tokens: int = 0
    samples: list[MaskedExample] = field(default_factory=list)

    def __call__(self, example: Example, findings: Findings) -> None:
        self._report_clock(findings)
        try:
            masked = mask_any(self.masker, example)
        except TemplateError as error:
            # The message begins with the example's place, which a problem names itself.
            what = str(error).removeprefix(f"{example.origin}: ")
            findings.error("chat_template", f"{what}. {error.next_step}".rstrip())
            return
        longest = max(map(len, masked))
        if self.limit is not None and longest > self.limit:
            masked = self._split(example, longest, findings)
        if len(self.samples) < SAMPLES and masked:
            self._report_additions(example, masked[0], findings)
            self.samples.append(masked[0])
        self.lengths.extend(map(len, masked))
        self.trained_tokens += sum(sum(one.trained) for one in masked)

    def _split(self, example: Example, length: int, findings: Findings) -> list[MaskedExample]:
        assert self.limit is not None, "asked only if there is a limit"
        if self.over_long == "split" and isinstance(example, Conversation | PlainText):
            pieces = split_to_fit(self.masker, example, self.limit)
            if pieces is not None:
                findings.warning("split", f"{length} tokens, split at turns into {len(pieces)} of at most {self.limit}")
                return pieces
        findings.error("over_long", f"{length} tokens, and {self.limit} is the most; shorten it, or split it at turns")
        return []

    def _report_clock(self, findings: Findings) -> None:
        if not self.lengths and not self.samples and self.masker.template.uses_clock:
            why = "prompts will differ from those of training on any other day"
            findings.warning("clock", f"the model's chat template writes today's date: {why}")

    def _report_additions(self, example: Example, masked: MaskedExample, findings: Findings) -> None:
        """Text that the template adds to an answer is learnt too: Qwen3's empty thoughts teach it not to think."""
        if not isinstance(example, Conversation) or self.samples:
            return
        first = next(m for m in example.messages if m["role"] == "assistant" and m.get("weight") != 0)
        pieces = learnt_texts(self.masker, masked)
        before = pieces[0].partition(first["content"].strip())[0] if pieces else ""
        if before.strip() and not first.get("reasoning_content") and first["content"].strip():
            findings.warning("template_adds", f"the model's chat template adds {before!r} to answers, and it is learnt")


def mask_any(masker: Masker, example: Example) -> list[MaskedExample]:
    """Masks of any kind of example: of a preference, one for each of its answers. Raises TemplateError."""
    match example:
        case Conversation() | PlainText():
            return masker.mask(example)
        case Preference():
            prompt, chosen, rejected = masker.preference(example)
            return [_after(example.origin, prompt, answer) for answer in (chosen, rejected)]
        case Judged():
            prompt, answer = masker.judged(example)
            return [_after(example.origin, prompt, answer)]


def learnt_texts(masker: Masker, masked: MaskedExample) -> list[str]:
    """The stretches of text that the loss counts."""
    return [masker.tokenizer.decode(list(ids)) for learnt, ids in stretches(masked) if learnt]


def stretches(masked: MaskedExample) -> list[tuple[bool, list[int]]]:
    """Neighbouring tokens that are alike in whether they are learnt."""
    found: list[tuple[bool, list[int]]] = []
    for token, learnt in zip(masked.token_ids, masked.trained, strict=True):
        if not found or found[-1][0] != learnt:
            found.append((learnt, []))
        found[-1][1].append(token)
    return found


def _after(origin: Origin, prompt: Sequence[int], answer: Sequence[int]) -> MaskedExample:
    trained = (False,) * len(prompt) + (True,) * len(answer)
    return MaskedExample(origin, (*prompt, *answer), trained)
