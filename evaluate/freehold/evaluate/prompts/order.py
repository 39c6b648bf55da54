"""The order of prompts, and which of them a limit takes: by the seed and the prompts' ids alone."""

import hashlib
from collections.abc import Iterable

from freehold.evaluate.prompts.prompt import Prompt


def drawn(prompts: Iterable[Prompt], seed: int, limit: int | None = None) -> list[Prompt]:
    """Shuffled; a prompt's place against another's does not change when others come or go."""
    shuffled = sorted(prompts, key=lambda prompt: hashlib.sha256(f"{seed}:{prompt.id}".encode()).digest())
    return shuffled[:limit]
