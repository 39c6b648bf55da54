"""The curve of one engine, as a file beside this module."""

from bisect import bisect_left
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from freehold.core.config import ConfigModel

FOLDER = Path(__file__).parent
CURVES = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
"""By the name of the file."""


class Curve(ConfigModel):
    """One engine with one model."""

    engine: str
    """Model and hardware."""
    source: Literal["measured", "roofline"]
    """`roofline` is computed by `freehold plan`'s formulas, and no GPU was asked."""
    how: str
    """The command, and what it ran on."""
    prefill_tokens_per_s: float = Field(gt=0)
    """Of prompts that are in no cache."""
    step_s: dict[int, float]
    """Sequences in a step that writes, and its seconds."""
    cache_tokens: int = Field(gt=0)
    """Keys and values of so many tokens, of running and of past requests together."""
    block_tokens: int = Field(default=16, gt=0)
    """What is found again of a prefix is a multiple of this."""
    most_sequences: int = Field(default=256, gt=0)
    """At once (vLLM's `max_num_seqs`)."""
    chunk_tokens: int = Field(default=2048, gt=0)
    """Of prompts in one step (vLLM's `max_num_batched_tokens`)."""

    def step(self, sequences: int) -> float:
        """Seconds of a step with so many sequences, between the measured ones in a straight line."""
        known = sorted(self.step_s)
        above = bisect_left(known, sequences)
        if above == 0:
            return self.step_s[known[0]]
        if above == len(known):
            return self.step_s[known[-1]] * sequences / known[-1]
        left, right = known[above - 1], known[above]
        share = (sequences - left) / (right - left)
        return self.step_s[left] * (1 - share) + self.step_s[right] * share


def load_curve(name: str) -> Curve:
    """One of `CURVES`."""
    with (FOLDER / f"{name}.yaml").open() as file:
        return Curve.model_validate(yaml.safe_load(file))


def save_curve(path: Path, curve: Curve) -> None:
    """As a file that people read."""
    found: dict[str, Any] = curve.model_dump(by_alias=True)
    path.write_text(yaml.safe_dump(found, sort_keys=False, width=100))
