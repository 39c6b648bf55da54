"""The lines of an input file: found once, then read one by one when their turn comes.

https://platform.openai.com/docs/api-reference/batch/request-input
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

SLICE_BYTES = 256 * 1024
"""Looked at in one go, between which other requests of the gateway get their turn."""
FORM_BYTES = 64 * 1024
"""Allowance for what is on a line beside the body."""


class Line(NamedTuple):
    """Where a line that can be asked stands."""

    number: int
    """From 1."""
    offset: int
    length: int
    custom_id: str
    model: str


class RawLine(NamedTuple):
    """A line as it stands; `text` ends early where it is too long."""

    number: int
    offset: int
    text: bytes
    is_too_long: bool


class Form(msgspec.Struct, gc=False):
    """What is on a line. Fields of other names are let be, as OpenAI does."""

    custom_id: Any = None
    method: Any = None
    url: Any = None
    body: msgspec.Raw = msgspec.Raw()


decode_form = msgspec.json.Decoder(Form).decode


class InputFile:
    """One input file. Its methods block."""

    def __init__(self, path: Path, most_body_bytes: int) -> None:
        self.path = path
        self.most_body_bytes = most_body_bytes

    def slices(self) -> Iterator[list[RawLine]]:
        """All lines but blank ones, some at a time; what is yielded is never empty."""
        most = self.most_body_bytes + FORM_BYTES
        found: list[RawLine] = []
        size = number = offset = 0
        with self.path.open("rb") as stream:
            while text := stream.readline(most + 1):
                number += 1
                is_too_long = len(text) > most
                begin, offset = offset, offset + len(text)
                while is_too_long and not text.endswith(b"\n") and (rest := stream.readline(SLICE_BYTES)):
                    offset += len(rest)
                    text = text[:1] + rest[-1:]  # what it says is of no interest any more
                if not text.isspace():
                    found.append(RawLine(number, begin, text, is_too_long))
                    size += len(text)
                if size >= SLICE_BYTES:
                    yield found
                    found, size = [], 0
        if found:
            yield found

    def body(self, line: Line) -> bytes:
        """The request on this line."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            text = os.pread(descriptor, line.length, line.offset)
        finally:
            os.close(descriptor)
        return bytes(decode_form(text).body)
