"""Masks for people: what is learnt stands out, in colour or in brackets."""

from typing import Any

from rich.console import Console
from rich.text import Text

from freehold.finetune.checking.tokens import stretches
from freehold.finetune.masking import MaskedExample, Masker

OPEN, CLOSE = "⟦", "⟧"
_LEARNT, _SEEN = "bold green", "dim"


class MaskPrinter:
    """Prints to stdout: coloured on a terminal, unless NO_COLOR is set; elsewhere what is learnt is in ⟦brackets⟧."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
        self.is_coloured = self._console.is_terminal and not self._console.no_color

    @property
    def legend(self) -> str:
        return "in green" if self.is_coloured else f"in {OPEN}brackets{CLOSE}"

    def show(self, masker: Masker, masked: MaskedExample) -> None:
        """One example under its origin."""
        text = Text()
        for learnt, ids in stretches(masked):
            part = masker.tokenizer.decode(ids)
            if self.is_coloured:
                text.append(part, style=_LEARNT if learnt else _SEEN)
            else:
                text.append(f"{OPEN}{part}{CLOSE}" if learnt else part)
        self._console.print(f"--- {masked.origin}: {sum(masked.trained)} of {len(masked)} tokens are learnt")
        self._console.print(text)


def mask_document(masker: Masker, masked: MaskedExample) -> dict[str, Any]:
    """The mask as JSON has it: every token with its text, and whether it is learnt."""
    return {
        "source": masked.origin.source,
        "line": masked.origin.line,
        "tokens": [
            {"id": token, "text": masker.tokenizer.decode([token]), "trained": learnt}
            for token, learnt in zip(masked.token_ids, masked.trained, strict=True)
        ],
        "trained_text": [masker.tokenizer.decode(ids) for learnt, ids in stretches(masked) if learnt],
    }
