"""Files on this machine, by the end of their name."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from freehold.core.dataset.examples import Origin
from freehold.core.dataset.lines import decoded, read_json_lines
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.sources.source import Row, ignore
from freehold.core.dataset.wording import type_name


class JsonLinesFile:
    """`.jsonl`: an object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.size_bytes = path.stat().st_size

    def rows(self, advance: Callable[[int], None] = ignore) -> Iterator[Row]:
        return read_json_lines(self.path, advance)


class JsonFile(JsonLinesFile):
    """`.json`: a list of objects; a file that is JSON lines all the same is read as such."""

    def rows(self, advance: Callable[[int], None] = ignore) -> Iterator[Row]:
        content = self.path.read_bytes()
        if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            yield from super().rows(advance)
            return
        advance(len(content))
        yield from _list_rows(content, self.name)


def _list_rows(content: bytes, name: str) -> Iterator[Row]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        findings = Findings(Origin(name, content.count(b"\n", 0, error.start) + 1))
        findings.error("encoding", f"byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8")
        yield findings, None
        return
    decoder = json.JSONDecoder()
    position, line = _after_space(text, text.index("[") + 1), 1
    counted = 0
    while position < len(text) and text[position] != "]":
        line += text.count("\n", counted, position)
        counted = position
        findings = Findings(Origin(name, line))
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            torn = Findings(Origin(name, error.lineno))
            torn.error("bad_json", f"not JSON: {error.msg}; the rest of the list is not read", column=error.colno)
            yield torn, None
            return
        if not isinstance(value, dict):
            findings.error("not_an_object", f"the list holds {type_name(value)}, and must hold objects")
        yield findings, value if isinstance(value, dict) else None
        position = _after_space(text, position)
        if text[position : position + 1] == ",":
            position = _after_space(text, position + 1)


def _after_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


class TextFile(JsonLinesFile):
    """`.txt`: every paragraph, the lines between blank ones, is an example."""

    def rows(self, advance: Callable[[int], None] = ignore) -> Iterator[Row]:
        paragraph: list[str] = []
        first = 0
        with self.path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                advance(len(line))
                if not line.strip():
                    yield from _paragraph_row(paragraph, self.name, first)
                    paragraph = []
                    continue
                first = first if paragraph else number
                findings = Findings(Origin(self.name, number))
                text = decoded(line, findings)
                if text is None:
                    yield findings, None
                else:
                    paragraph.append(text.rstrip("\r\n"))
        yield from _paragraph_row(paragraph, self.name, first)


def _paragraph_row(paragraph: list[str], name: str, first: int) -> Iterator[Row]:
    if paragraph:
        yield Findings(Origin(name, first)), {"text": "\n".join(paragraph)}
