"""Where the nodes of a lineage stand on its picture, from left to right in the order in which they came to be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BOX_WIDTH, BOX_HEIGHT = 210, 66
GAP_X, GAP_Y = 46, 22
MARGIN = 8
LETTERS = 27
"""That fit a box's line; the whole text is in its tooltip, and below the picture."""


@dataclass(frozen=True)
class Box:
    """A node, and its upper left corner in pixels."""

    number: int
    node: Mapping[str, Any]
    x: int
    y: int

    @property
    def title(self) -> str:
        return _short(self.node["title"])

    @property
    def text(self) -> str:
        return _short(self.node["state"] or self.node["text"])


@dataclass(frozen=True)
class Picture:
    """Boxes and the lines between them."""

    boxes: tuple[Box, ...]
    lines: tuple[str, ...]
    """Paths, as SVG writes them."""
    width: int
    height: int


def drawn(nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, str]]) -> Picture:
    """Each node one column behind the last of those that lead to it; `nodes` come in such an order."""
    columns: dict[str, int] = {}
    for node in nodes:
        before = [columns[edge["before"]] for edge in edges if edge["after"] == node["id"]]
        columns[node["id"]] = max(before, default=-1) + 1
    rows: dict[int, int] = {}
    boxes: dict[str, Box] = {}
    for number, node in enumerate(nodes):
        column = columns[node["id"]]
        row = rows[column] = rows.get(column, -1) + 1
        x, y = MARGIN + column * (BOX_WIDTH + GAP_X), MARGIN + row * (BOX_HEIGHT + GAP_Y)
        boxes[node["id"]] = Box(number, node, x, y)
    lines = tuple(_line(boxes[edge["before"]], boxes[edge["after"]]) for edge in edges)
    width = 2 * MARGIN + (max(columns.values(), default=0) + 1) * (BOX_WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + (max(rows.values(), default=0) + 1) * (BOX_HEIGHT + GAP_Y) - GAP_Y
    return Picture(tuple(boxes.values()), lines, width, height)


def _line(start: Box, end: Box) -> str:
    x1, y1 = start.x + BOX_WIDTH, start.y + BOX_HEIGHT // 2
    x2, y2 = end.x, end.y + BOX_HEIGHT // 2
    bend = (x1 + x2) // 2
    return f"M{x1},{y1} C{bend},{y1} {bend},{y2} {x2 - 6},{y2}"


def _short(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
