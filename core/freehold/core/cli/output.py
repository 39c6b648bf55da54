"""Results on stdout: one table or one JSON document."""

import json
from collections.abc import Sequence
from typing import Any

from freehold.core.cli.options import Format


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], form: Format, *, empty: str = "nothing") -> None:
    """Print rows as JSON (every key) or as a table (the named columns, headed by their names)."""
    if form is Format.JSON:
        print_json(list(rows))
    elif not rows:
        print(empty)
    else:
        cells = [[_cell(row.get(column)) for column in columns] for row in rows]
        widths = [max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))]
        for line in [[column.upper() for column in columns], *cells]:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_fields(fields: dict[str, Any]) -> None:
    """Print `name: value` lines with the values aligned."""
    width = max(len(name) for name in fields) + 1
    for name, value in fields.items():
        print(f"{name + ':':<{width}} {_cell(value)}")


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
