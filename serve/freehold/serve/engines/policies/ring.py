"""Consistent hashing: every gateway finds the same place for the same key, and none asks another.

Each place has points on a circle; a key belongs to the place whose point follows it. When a place leaves, its own keys
move to the places that follow, and no other key moves (Karger et al., 1997).
"""

import hashlib
from bisect import bisect_left
from collections.abc import Collection, Iterator

POINTS = 64
"""Per place: shares of the circle then differ by about an eighth; the bound on load evens out the rest."""
SIZE = 1 << 32


class Ring:
    """Places by name on a circle of `SIZE` keys."""

    def __init__(self, names: Collection[str] = ()) -> None:
        self.names: frozenset[str] = frozenset()
        self._points: list[tuple[int, str]] = []
        self.change(names)

    def change(self, names: Collection[str]) -> None:
        """These are the places from now on."""
        now = frozenset(names)
        if gone := self.names - now:
            self._points = [point for point in self._points if point[1] not in gone]
        self._points += [(point, name) for name in now - self.names for point in _points(name)]
        self._points.sort()
        self.names = now

    def walk(self, key: int) -> Iterator[str]:
        """Every place once: the key's own first, then the one that would have the key without it, and so on."""
        points, seen = self._points, set[str]()
        begin = bisect_left(points, (key % SIZE,))
        for index in range(begin, begin + len(points)):
            name = points[index - len(points)][1]
            if name not in seen:
                seen.add(name)
                yield name


def _points(name: str) -> Iterator[int]:
    """The same in every process, as those of `hash` are not."""
    digest = hashlib.shake_128(name.encode()).digest(4 * POINTS)
    for start in range(0, len(digest), 4):
        yield int.from_bytes(digest[start : start + 4], "big")
