"""What the gateway recorded of a route, as chats."""

import os
import pwd
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from freehold.core.dataset.examples import Origin
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.sources.source import Row, ignore
from freehold.core.errors import UserError
from freehold.core.recording import Filter, RecordedExchange, RecordingStore, as_chat, parse_day
from freehold.core.recording.format import Kind


class Recorded:
    """`ROUTE[?since=DAY&until=DAY]`: what clients were answered. Each reading is in the access log."""

    size_bytes = 0

    def __init__(self, name: str, root: Path) -> None:
        self.name = f"recorded:{name}"
        self._store = RecordingStore(root)
        self._wanted = _filter(name)

    def rows(self, advance: Callable[[int], None] = ignore) -> Iterator[Row]:
        """Records that teach something; how many do not is a warning of the last row."""
        for findings, _, chat in self.exchanges():
            yield findings, chat

    def exchanges(
        self, kind: Kind = "answer"
    ) -> Iterator[tuple[Findings, RecordedExchange | None, dict[str, Any] | None]]:
        """The same with the whole record; of kind `shadow`, what candidates said to copies."""
        taught = 0
        reading = self._store.export(_reader(), replace(self._wanted, kind=kind))
        for number, exchange in enumerate(reading, start=1):
            chat = as_chat(exchange)
            if chat is not None:
                taught += 1
                yield Findings(Origin(self.name, number)), exchange, chat
        left_out = reading.count - taught + reading.skipped
        if left_out:
            findings = Findings(Origin(self.name, reading.count))
            why = "errors, torn answers, media that were not kept, or no chat"
            findings.warning("left_out", f"{left_out} of {reading.count} records are left out: {why}")
            yield findings, None, None


def _filter(name: str) -> Filter:
    route, _, query = name.partition("?")
    asked = parse_qs(query, keep_blank_values=True)
    unknown = asked.keys() - {"since", "until"}
    if unknown:
        raise UserError(f"recorded:{name} asks for {', '.join(sorted(unknown))}", why="it takes since and until")
    since, until = (parse_day(asked[key][-1]) if key in asked else None for key in ("since", "until"))
    return Filter(route, since, until, "answer")


def _reader() -> str:
    """The user that the kernel knows, for the access log."""
    try:
        return f"dataset:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # a container's user may have no name
        return f"dataset:uid-{os.getuid()}"
