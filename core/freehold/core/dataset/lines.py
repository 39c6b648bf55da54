"""A file of JSON lines, read line by line: what each holds, or why it holds nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from freehold.core.dataset.examples import Origin
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.wording import type_name

_BYTE_ORDER_MARK = "\ufeff"


def read_json_lines(path: Path, advance: Callable[[int], None]) -> Iterator[tuple[Findings, dict[str, Any] | None]]:
    """Each line's findings and its object, None where there is none. Blank lines are passed over.

    `advance` is told of bytes read. Raises OSError.
    """
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            advance(len(line))
            if line.strip():
                findings = Findings(Origin(str(path), number))
                yield findings, parse_line(line, findings)


def parse_line(line: bytes, findings: Findings) -> dict[str, Any] | None:
    """The object that a line holds, or None and the finding that says why not."""
    text = decoded(line, findings)
    if text is None:
        return None
    try:
        value = json.loads(text.rstrip())
    except json.JSONDecodeError as error:
        findings.error("bad_json", f"not JSON: {error.msg}", column=error.colno)
        return None
    except RecursionError:
        findings.error("bad_json", "not readable: nested too deeply")
        return None
    if not isinstance(value, dict):
        findings.error("not_an_object", f"a line holds one JSON object, and this is {type_name(value)}")
        return None
    return value


def decoded(line: bytes, findings: Findings) -> str | None:
    """The line's text without a byte order mark, or None and the finding that says which byte is wrong."""
    try:
        return line.decode("utf-8").removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        found = f"byte 0x{line[error.start]:02x} is not UTF-8; save the file as UTF-8"
        findings.error("encoding", found, column=error.start + 1)
        return None
