"""How many tokens a sound becomes, by its length alone."""

import math

import msgspec


class Sound(msgspec.Struct, frozen=True):
    """So many tokens a second, counted in windows; an upper bound that is at most one window's tokens too high."""

    per_second: float
    window_s: float = 0.0
    """A window that has begun counts whole; 0 counts by the token."""
    longest_s: float = 0.0
    """What comes after it is cut off; 0 for nothing."""
    around: int = 2
    """Tokens that begin and end a sound."""

    def tokens(self, seconds: float) -> int:
        """Of a sound of this length."""
        heard = min(seconds, self.longest_s) if self.longest_s else seconds
        if self.window_s:
            heard = math.ceil(heard / self.window_s) * self.window_s
        return math.ceil(heard * self.per_second) + self.around
