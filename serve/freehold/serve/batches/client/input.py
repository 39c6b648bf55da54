"""The file that is sent: the user's own, or a copy whose lines name another model."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from freehold.core.errors import NotFoundError, UserError


def endpoint_of(path: Path) -> str:
    """The path that the first line asks. Raises NotFoundError, and UserError for a line without one."""
    first = next((line for _, line in _lines(path)), None)
    if first is None:
        raise UserError(f"{path} has no line")
    url = first.get("url")
    if not isinstance(url, str):
        raise UserError(f"Line 1 of {path} has no url", next_step="Give one, such as /v1/chat/completions.")
    return url


@contextmanager
def as_sent(path: Path, model: str | None) -> Iterator[Path]:
    """The file to upload: with `model`, a copy in which every line asks that one. Raises UserError with the line."""
    if model is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        with copy.open("w") as stream:
            for number, line in _lines(path):
                body = line.get("body")
                if not isinstance(body, dict):
                    raise UserError(f"Line {number} of {path} has no body")
                json.dump({**line, "body": {**body, "model": model}}, stream)
                stream.write("\n")
        yield copy


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Lines but blank ones, with their numbers."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read", why=error.strerror or str(error)) from error
    with stream:
        for number, text in enumerate(stream, start=1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
            except ValueError as error:
                raise UserError(f"Line {number} of {path} is not JSON", why=str(error)) from error
            if not isinstance(line, dict):
                raise UserError(f"Line {number} of {path} is not a JSON object")
            yield number, line
