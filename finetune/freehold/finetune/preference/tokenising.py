"""What preference objectives ask of the masker."""

from collections.abc import Sequence
from typing import Protocol

from freehold.core.dataset.examples import Preference


class PreferenceMasker(Protocol):
    """Renders prompts and answers with the model's own template."""

    def preference(self, example: Preference, /) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
        """Token ids of the prompt, the chosen and the rejected answer, each answer with its end of turn."""
        ...
