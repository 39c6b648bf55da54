"""Settings: .env, YAML, TOML, JSON, INI, Dockerfiles, CI files, Helm values. By line, so that templates are read."""

import re

from freehold.evaluate.scan.detect.context import Context
from freehold.evaluate.scan.detect.texts import NOT_SPOKEN, TO_GATEWAY, WORD, add_variable, find_mentions
from freehold.evaluate.scan.finding import Confidence, Kind
from freehold.evaluate.scan.knowledge import ClosedNames, find_endpoints, variables
from freehold.evaluate.scan.program import Place, Program, Text
from freehold.evaluate.scan.readers.dependencies import find_dependencies
from freehold.evaluate.scan.readers.reader import Reading

VALUE = re.compile(
    r"""["']?(?P<key>[\w.@/-]+)["']?\s*[:=]\s*(?P<value>"[^"\n]*"|'[^'\n]*'|\$\{[^}\n]*\}|[^\s,;#}\]"']+)
    | "(?P<double>[^"\n]*)" | '(?P<single>[^'\n]*)'                                  # a quoted string
    | (?:^|\s)-\s+(?P<item>[^\s#"':]+)\s*$                                           # an item of a list
    | --(?P<option>[\w-]+)[\s=]+["']?(?P<given>[^\s"']+)                              # an option of a command""",
    re.VERBOSE,
)
COMMENT = re.compile(r"(?:^|\s)#(?!\{).*$|^\s*(?://|;).*$|<!--.*?-->")
ASKS = re.compile(r"model|deployment|engine|llm", re.IGNORECASE)


class ConfigReader:
    """Settings, and files that list dependencies."""

    def __init__(self, name: str, *, has_comments: bool = True) -> None:
        self.name = name
        self._has_comments = has_comments

    def read(self, file: str, text: str, names: ClosedNames) -> Reading:
        context = Context(file, Program(), "python", names)
        find_dependencies(context, file, text)
        for number, line in enumerate(text.splitlines(), 1):
            match = COMMENT.search(line) if self._has_comments else None
            said, comment = (line[: match.start()], line[match.start() :]) if match else (line, "")
            if said.strip():
                _settings(context, number, said)
            if comment:
                find_mentions(context, Text(number, comment, Place.PROSE))
        return Reading(context.results())


def _settings(context: Context, number: int, line: str) -> None:
    for match in VALUE.finditer(line):
        asked = bool(ASKS.search(match["key"] or match["option"] or ""))
        parts = (match["key"], match["value"], match["double"], match["single"], match["item"], match["given"])
        for value in parts:
            _value(context, number, (value or "").strip("\"'"), asked=asked)
    for match in WORD.finditer(line):
        if match[0] in variables():
            add_variable(context, number, match[0])
    for endpoint in find_endpoints(line):
        change = TO_GATEWAY if endpoint.speaks else NOT_SPOKEN
        context.add(number, Kind.ENDPOINT, endpoint.value, endpoint.provider, change=change)
    find_mentions(context, Text(number, line, Place.PROSE))


def _value(context: Context, number: int, value: str, *, asked: bool) -> None:
    # `${MODEL:-gpt-4o}` is gpt-4o unless it is set.
    if default := re.fullmatch(r"\$\{\w+:?[-=](.+)\}", value):
        value = default[1]
    closed = context.names.recognise(value)
    if closed is not None and (asked or not closed.short):
        confidence = Confidence.CERTAIN if asked else Confidence.LIKELY
        context.add(number, Kind.MODEL, closed.name, closed.provider, confidence)
    for endpoint in find_endpoints(value) if "." in value else ():
        change = TO_GATEWAY if endpoint.speaks else NOT_SPOKEN
        context.add(number, Kind.ENDPOINT, endpoint.value, endpoint.provider, change=change)
