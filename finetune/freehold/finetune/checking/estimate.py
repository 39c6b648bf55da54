"""What training on the data would take: counted where it can be counted, unknown where nobody measured."""

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Estimate:
    """Steps and tokens of a run."""

    epochs: float
    batch_size: int
    """Examples per optimizer step."""
    examples: int
    tokens: int
    """Over all epochs, without padding."""
    steps: int
    tokens_per_s: float | None = None
    """As measured in an earlier run of this model on this machine; None where there was none."""
    price_per_hour: float | None = None

    @property
    def seconds(self) -> float | None:
        return self.tokens / self.tokens_per_s if self.tokens_per_s else None

    @property
    def cost(self) -> float | None:
        """In the currency of `price_per_hour`."""
        if self.seconds is None or self.price_per_hour is None:
            return None
        return self.seconds / 3600 * self.price_per_hour

    def document(self) -> dict[str, Any]:
        """The estimate as JSON has it."""
        return asdict(self) | {"seconds": self.seconds, "cost": self.cost}

    def lines(self) -> list[str]:
        """For a terminal."""
        found = [f"{self.epochs:g} epochs in {self.steps} steps of {self.batch_size} examples: {self.tokens:,} tokens"]
        if self.seconds is None:
            found.append("time unknown: no run of this model was measured on this machine")
        else:
            found.append(f"about {_duration(self.seconds)} at the {self.tokens_per_s:,.0f} tokens/s of the last run")
        if self.cost is not None:
            found.append(f"about {self.cost:,.2f} at {self.price_per_hour:g} an hour")
        return found


def estimate(
    examples: int,
    tokens: int,
    *,
    epochs: float,
    batch_size: int,
    tokens_per_s: float | None = None,
    price_per_hour: float | None = None,
) -> Estimate:
    """Of a run over `examples` with `tokens` in all, each epoch's last step as full as it gets."""
    steps = math.ceil(math.ceil(examples / batch_size) * epochs)
    return Estimate(epochs, batch_size, examples, round(tokens * epochs), steps, tokens_per_s, price_per_hour)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
