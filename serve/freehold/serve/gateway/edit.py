"""Changes top-level fields of a JSON object in place: every other byte of the body stays as the client wrote it."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_OPENING = re.compile(rb"\s*\{")


class Member(NamedTuple):
    """Where one `"key": value` stands in a text."""

    start: int
    value: int
    end: int


def with_fields(body: bytes, fields: Mapping[str, Any], document: Mapping[str, Any]) -> bytes:
    """A JSON object with these top-level fields set. `document` is what `body` says; it must not be empty."""
    added = {name: value for name, value in fields.items() if name not in document}
    for name in fields.keys() - added.keys():
        body = _with_value(body, name, document[name], fields[name])
    if added:
        opening = _OPENING.match(body)
        assert opening is not None, "the body was parsed as an object"
        text = b"".join(b"%b:%b," % (_dump(name), _dump(value)) for name, value in added.items())
        body = body[: opening.end()] + text + body[opening.end() :]
    return body


def without_field(text: str, name: str) -> str:
    """A JSON object without any top-level member of that name."""
    members = _members(text)
    kept = [text[member.start : member.end] for key, member in members if key != name]
    return "{" + ",".join(kept) + "}" if len(kept) < len(members) else text


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _with_value(body: bytes, name: str, old: Any, new: Any) -> bytes:
    span = _only_span(body, name, old) if isinstance(old, str) else None
    if span is not None:
        return body[: span[0]] + _dump(new) + body[span[1] :]
    text = body.decode()
    # The last one of that name is what JSON parsers take.
    member = [member for key, member in _members(text) if key == name][-1]
    return (text[: member.value] + json.dumps(new) + text[member.end :]).encode()


def _only_span(body: bytes, name: str, value: str) -> tuple[int, int] | None:
    """Where the value of a string field stands, if its key is written just once and both without escapes.

    A key like that inside a string would have a backslash before its last quote, so it does not match.
    """
    key = b'"%b"' % name.encode()
    at = body.find(key)
    if at < 1 or body[at - 1] not in b"{, \t\r\n" or body.find(key, at + 1) >= 0:
        return None
    match = re.compile(rb'"\s*:\s*("[^"\\]*")').match(body, at + len(key) - 1)
    return match.span(1) if match and match[1][1:-1] == value.encode() else None


def _members(text: str) -> list[tuple[str, Member]]:
    """Every member of a valid JSON object, in order."""
    decoder = json.JSONDecoder()
    found = []
    position = _skip_blanks(text, _skip_blanks(text, 0) + 1)
    while text[position] == '"':
        start = position
        key, position = decoder.raw_decode(text, position)
        value = _skip_blanks(text, _skip_blanks(text, position) + 1)
        _, end = decoder.raw_decode(text, value)
        found.append((key, Member(start, value, end)))
        position = _skip_blanks(text, end)
        if text[position] == ",":
            position = _skip_blanks(text, position + 1)
    return found


def _skip_blanks(text: str, position: int) -> int:
    while text[position] in " \t\n\r":
        position += 1
    return position
