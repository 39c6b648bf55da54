"""Names of models, URLs and variables in the texts of a program."""

import re

from freehold.evaluate.scan.detect.context import Context
from freehold.evaluate.scan.finding import Confidence, Kind
from freehold.evaluate.scan.knowledge import ClosedName, find_endpoints, variables
from freehold.evaluate.scan.knowledge.models import LONGEST
from freehold.evaluate.scan.program import Place, Text

WORD = re.compile(r"(?<!\w)[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w])")
TO_GATEWAY = "Replace the URL by the gateway's."
NOT_SPOKEN = "The gateway does not speak this API: use OpenAI's, at the gateway's URL."


NEAR = 6
"""Lines between a word that may be a model and a name that certainly is one."""


def find_texts(context: Context) -> None:
    """A literal that is a name counts; one that is written about is a mention."""
    _find_short(context)
    for text in context.program.texts:
        if text.place is Place.LITERAL:
            _literal(context, text)
        elif text.place is Place.PART:
            _endpoints(context, text, Confidence.CERTAIN)
        else:
            find_mentions(context, text)


def _literal(context: Context, text: Text) -> None:
    if closed := context.names.recognise(text.text):
        if not closed.short:
            context.add(text.line, Kind.MODEL, closed.name, closed.provider, Confidence.LIKELY)
        return
    if (variable := variables().get(text.text)) is not None:
        add_variable(context, text.line, variable.name)
        return
    if text.text == "GOOGLE_API_KEY" and any(sdk.provider == "google" for sdk in context.imported.values()):
        context.add(text.line, Kind.VARIABLE, text.text, "google")
        return
    if len(text.text) < 400 and "\n" not in text.text.strip():
        _endpoints(context, text, Confidence.CERTAIN)
    find_mentions(context, text)


def _find_short(context: Context) -> None:
    """`o1` is a model beside other names of models."""
    short: list[tuple[int, ClosedName]] = []
    lines: list[int] = []
    for text in context.program.texts:
        if text.place is Place.LITERAL and len(text.text) <= LONGEST and (closed := context.names.recognise(text.text)):
            short += [(text.line, closed)] if closed.short else []
            lines += [] if closed.short else [text.line]
    for line, closed in short:
        if re.fullmatch(r"o\d", closed.name) and any(abs(line - other) <= NEAR for other in lines):
            context.add(line, Kind.MODEL, closed.name, closed.provider, Confidence.LIKELY)


def _endpoints(context: Context, text: Text, confidence: Confidence) -> None:
    for endpoint in find_endpoints(text.text):
        if _is_written_about(text.text, endpoint.at):
            confidence = Confidence.MENTION
        line = text.line + text.text.count("\n", 0, endpoint.at)
        change = TO_GATEWAY if endpoint.speaks else NOT_SPOKEN
        context.add(line, Kind.ENDPOINT, endpoint.value, endpoint.provider, confidence, change=change)


def _is_written_about(text: str, at: int) -> bool:
    """A URL within a sentence."""
    return len(text[:at].split()) > 3


def add_variable(context: Context, line: int, name: str, confidence: Confidence = Confidence.CERTAIN) -> None:
    """A variable that a client reads."""
    variable = variables()[name]
    change = "Set it to the gateway's URL." if variable.is_base and variable.provider != "azure" else ""
    context.add(line, Kind.VARIABLE, name, variable.provider, confidence, change=change)


def find_mentions(context: Context, text: Text) -> None:
    """What prose speaks of."""
    for offset, line in enumerate(text.text.splitlines()):
        where = text.line + offset
        for _, closed in context.names.search(line):
            context.add(where, Kind.MODEL, closed.name, closed.provider, Confidence.MENTION)
        for match in WORD.finditer(line):
            if match[0] in variables():
                add_variable(context, where, match[0], Confidence.MENTION)
        for endpoint in find_endpoints(line):
            context.add(where, Kind.ENDPOINT, endpoint.value, endpoint.provider, Confidence.MENTION)
