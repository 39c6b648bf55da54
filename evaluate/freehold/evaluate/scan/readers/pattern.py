"""Languages without a parser here: imports, quoted names, URLs and variables, by pattern and line."""

import re
from collections.abc import Iterable
from functools import cache

from freehold.evaluate.scan.detect.context import Context
from freehold.evaluate.scan.detect.texts import NOT_SPOKEN, TO_GATEWAY, WORD, add_variable, find_mentions
from freehold.evaluate.scan.finding import Confidence, Finding, Kind
from freehold.evaluate.scan.knowledge import ClosedNames, find_endpoints, variables
from freehold.evaluate.scan.knowledge.data import read_data
from freehold.evaluate.scan.program import Place, Program, Text
from freehold.evaluate.scan.readers.reader import Reading

QUOTED = re.compile(r"\"((?:[^\"\\\n]|\\.){1,400})\"|'((?:[^'\\\n]|\\.){1,400})'|`([^`\n]{1,400})`")
COMMENT = re.compile(r"^\s*(?://|#(?!include|!|\[|define)|\*|/\*|--|;;|%|<!--|\"\"\"|''')")
BLOCK = re.compile(r"/\*.*?\*/", re.DOTALL)
TRAILING = re.compile(r"\s(?://|#)\s.*$")


class PatternReader:
    """Go, Java, Kotlin, C#, Ruby, PHP, Rust, shell and others."""

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, file: str, text: str, names: ClosedNames) -> Reading:
        return Reading(by_pattern(file, text, names))


def by_pattern(file: str, text: str, names: ClosedNames) -> Iterable[Finding]:
    """Findings of a text in any language."""
    context = Context(file, Program(), "python", names)
    _find_imports(context, text)
    comments = _comment_lines(text)
    for number, line in enumerate(text.splitlines(), 1):
        if number in comments or COMMENT.match(line):
            find_mentions(context, Text(number, line, Place.PROSE))
        else:
            _line(context, number, line)
    return context.results()


def _find_imports(context: Context, text: str) -> None:
    for sdk, entry in _imports().items():
        for match in entry[1].finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            context.add(line, Kind.SDK, sdk, entry[0], Confidence.CERTAIN)


def _comment_lines(text: str) -> set[int]:
    """Lines within `/* … */`."""
    lines: set[int] = set()
    for match in BLOCK.finditer(text):
        first = text.count("\n", 0, match.start()) + 1
        lines.update(range(first + 1, first + match[0].count("\n")))
    return lines


def _line(context: Context, number: int, line: str) -> None:
    for match in QUOTED.finditer(line):
        quoted = next(group for group in match.groups() if group is not None)
        closed = context.names.recognise(quoted)
        if closed is not None and not closed.short:
            context.add(number, Kind.MODEL, closed.name, closed.provider, Confidence.LIKELY)
    for match in WORD.finditer(TRAILING.sub("", line)):
        if match[0] in variables():
            add_variable(context, number, match[0])
    for endpoint in find_endpoints(line):
        change = TO_GATEWAY if endpoint.speaks else NOT_SPOKEN
        context.add(number, Kind.ENDPOINT, endpoint.value, endpoint.provider, change=change)
    find_mentions(context, Text(number, line, Place.PROSE))


@cache
def _imports() -> dict[str, tuple[str, re.Pattern[str]]]:
    entries = read_data("imports")
    return {
        name: (entry["provider"], re.compile("|".join(entry["patterns"]), re.MULTILINE))
        for name, entry in entries.items()
    }
