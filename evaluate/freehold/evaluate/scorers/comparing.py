"""Whether two JSON values are the same."""

import json
from typing import Any


def same(first: Any, second: Any) -> bool:
    """As JSON compares: 1 is 1.0 and not true; the order of keys counts for nothing, that of items does."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def covers(came: Any, expected: Any) -> bool:
    """Whether objects have at least the expected keys, with the expected values."""
    if isinstance(came, dict) and isinstance(expected, dict):
        return all(name in came and covers(came[name], value) for name, value in expected.items())
    return same(came, expected)


def as_json(value: Any) -> str:
    """On one line, keys sorted."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
