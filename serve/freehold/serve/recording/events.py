"""Server-sent events out of a stream's bytes.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

DONE = "[DONE]"
_LINE_END = re.compile("\r\n|\n|\r")


class Event(NamedTuple):
    """One event; `data` is decoded JSON, or None where it is none."""

    name: str
    text: str
    data: Any

    @property
    def is_done(self) -> bool:
        return self.text.strip() == DONE


def events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """The events of a stream that came in these pieces.

    One that has no empty line after it is given too: if it was torn, its data is no JSON.
    """
    # The pieces are joined first: a character's bytes, or a CR and its LF, may be in two of them.
    text = b"".join(chunks).decode("utf-8", "replace").removeprefix("\ufeff")
    name, lines = "", list[str]()
    for line in _LINE_END.split(text):
        if not line:
            if lines:
                yield _event(name, lines)
            name, lines = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            lines.append(value)
        elif field == "event":
            name = value
    if lines:
        yield _event(name, lines)


def _event(name: str, lines: list[str]) -> Event:
    text = "\n".join(lines)
    try:
        return Event(name, text, json.loads(text))
    except (ValueError, RecursionError):
        return Event(name, text, None)
