"""Lengths as bars for a terminal."""

from array import array
from collections.abc import Sequence

BARS = 10
_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"


def histogram(lengths: "Sequence[int] | array[int]", bars: int = BARS) -> list[tuple[int, int, int]]:
    """First and last length of each bar, both included, and how many examples are in it; bars are equally wide."""
    if not lengths:
        return []
    lowest, highest = min(lengths), max(lengths)
    width = max(1, -(-(highest - lowest + 1) // bars))
    counts = [0] * ((highest - lowest) // width + 1)
    for length in lengths:
        counts[(length - lowest) // width] += 1
    return [(lowest + i * width, lowest + (i + 1) * width - 1, count) for i, count in enumerate(counts)]


def drawn(found: Sequence[tuple[int, int, int]]) -> list[str]:
    """A line per bar; the longest is 40 columns."""
    if not found:
        return []
    most = max(count for *_, count in found)
    digits = len(str(found[-1][1]))
    return [f"{first:>{digits}} – {last:>{digits}}  {_bar(count / most)} {count}" for first, last, count in found]


def _bar(share: float) -> str:
    eighths = round(share * _WIDTH * 8)
    # A bar with one example in a million is still to be seen.
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip() if eighths else ("▏" if share else "")
