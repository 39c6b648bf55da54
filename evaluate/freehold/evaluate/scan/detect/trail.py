"""How far names are followed: programs may go in circles, or fan out."""

from dataclasses import dataclass, field

DEEPEST = 24
"""Steps from name to name."""
MOST_STEPS = 800
"""In all, for one question."""


@dataclass(slots=True)
class Trail:
    """Where one question stands."""

    depth: int = 0
    taken: list[int] = field(default_factory=lambda: [0])

    def deeper(self) -> "Trail":
        """One step on."""
        return Trail(self.depth + 1, self.taken)

    def is_lost(self) -> bool:
        """Whether to give up. Counts as a step."""
        self.taken[0] += 1
        return self.depth > DEEPEST or self.taken[0] > MOST_STEPS
