"""Reading what others wrote: a value if it has the type that its place calls for."""

from typing import Any


def as_object(value: Any) -> dict[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of an array; nothing if it is none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """The string, or an empty one."""
    return value if isinstance(value, str) else ""


def as_index(value: Any, default: int) -> int:
    """The position, or the default."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default
