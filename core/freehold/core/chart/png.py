"""The loss as a PNG, for where no browser is."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from freehold.core.chart.curves import HEIGHT, LEFT, RIGHT, WIDTH, Layout, Line
from freehold.core.store.atomic import write_atomically

SCALE = 2
"""Drawn this much larger than the layout, for sharp lines."""


def draw_png(lines: Sequence[Line], path: Path) -> None:
    """Write the chart of these curves."""
    layout = Layout.of(lines)
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
    pen = ImageDraw.Draw(image)
    for value in layout.value_ticks():
        y = layout.y(value) * SCALE
        pen.line([(LEFT * SCALE, y), ((WIDTH - RIGHT) * SCALE, y)], fill="#dddddd")
        pen.text(((LEFT - 6) * SCALE, y), f"{value:.3g}", fill="#444444", anchor="rm", font_size=22)
    for step in layout.step_ticks():
        pen.text((layout.x(step) * SCALE, (HEIGHT - 14) * SCALE), str(step), fill="#444444", anchor="mm", font_size=22)
    for number, line in enumerate(lines):
        points = [(x * SCALE, y * SCALE) for x, y in layout.path(line.points)]
        if len(points) > 1:
            pen.line(points, fill=line.color, width=round(line.width * SCALE), joint="curve")
        place = ((WIDTH - RIGHT) * SCALE, (24 + 18 * number) * SCALE)
        pen.text(place, line.name, fill=line.color, anchor="rm", font_size=24)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    write_atomically(path, stream.getvalue())
