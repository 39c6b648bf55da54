"""The chart's own files: the values that hold where the user says nothing, and the schema of its keys."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from freehold.core.errors import NotFoundError
from freehold.serve.config.base import read_yaml

SCHEMA = Path("schema") / "chart.schema.json"
"""Written by hand; what Helm reads, `values.schema.json`, is made of it."""
_PLACES = (Path(__file__).parent / "chart", Path(__file__).parents[4] / "helm" / "freehold")
"""In a wheel, and in a checkout."""


@dataclass(frozen=True)
class Chart:
    """A folder with a chart."""

    folder: Path

    @cached_property
    def schema(self) -> dict[str, Any]:
        """Of the chart's keys; `deployment` is any object in it."""
        found: dict[str, Any] = json.loads((self.folder / SCHEMA).read_text())
        return found

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """Values of whoever sets none."""
        return dict(read_yaml(self.folder / "values.yaml", "It is a part of the chart.") or {})

    @cached_property
    def example(self) -> dict[str, Any]:
        """`deployment`, `engines` and `artifacts` of whoever sets no deployment."""
        return dict(read_yaml(self.folder / "files" / "example.yaml", "It is a part of the chart.") or {})

    @cached_property
    def app_version(self) -> str:
        """Tag of our own images."""
        return str(read_yaml(self.folder / "Chart.yaml", "It is a part of the chart.")["appVersion"])

    def effective(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values as templates see them: the user's over the defaults, or over the example without a deployment."""
        base = self.defaults if values.get("deployment") else lay_over(self.defaults, self.example)
        return dict(lay_over(base, values))


def find_chart(folder: Path | None = None) -> Chart:
    """The chart in a folder; without one, that of this installation. Raises NotFoundError."""
    places = _PLACES if folder is None else (folder,)
    for place in places:
        if (place / SCHEMA).is_file():
            return Chart(place)
    raise NotFoundError(
        f"No chart at {' or '.join(map(str, places))}",
        why=f"there is no {SCHEMA}",
        next_step="Name the chart's folder: `--chart helm/freehold`.",
    )


def lay_over(below: Any, above: Any) -> Any:
    """As Helm merges values: map by map; anything else replaces what was there, and null removes it."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    merged = {key: value for key, value in below.items() if key not in above}
    return merged | {key: lay_over(below.get(key), value) for key, value in above.items() if value is not None}
