"""Everything that one program depends on."""

from collections.abc import Iterable

from freehold.evaluate.scan.detect.clients import find_bedrock, find_client
from freehold.evaluate.scan.detect.context import Context
from freehold.evaluate.scan.detect.features import find_call, find_parts
from freehold.evaluate.scan.detect.imports import find_imports
from freehold.evaluate.scan.detect.meaning import meaning
from freehold.evaluate.scan.detect.raw import find_raw
from freehold.evaluate.scan.detect.texts import find_texts
from freehold.evaluate.scan.finding import Finding, Kind
from freehold.evaluate.scan.knowledge import ClosedNames, methods
from freehold.evaluate.scan.knowledge.sdks import Language
from freehold.evaluate.scan.program import Program


def detect(file: str, program: Program, language: Language, names: ClosedNames) -> Iterable[Finding]:
    """Findings of one file, by line."""
    context = Context(file, program, language, names)
    find_imports(context)
    for used in program.calls:
        if find_bedrock(context, used):
            continue
        meant = meaning(used.call.callee, used.scope, language)
        if meant is not None:
            find_client(context, used, meant)
        find_call(context, used, meant)
    _find_decorators(context)
    find_texts(context)
    find_raw(context)
    find_parts(context)
    return context.results()


def _find_decorators(context: Context) -> None:
    """`@function_tool`."""
    for line, path, scope in context.program.decorators:
        meant = meaning(path, scope, context.language)
        if meant is None:
            continue
        name = ".".join(meant.rest)
        table = methods()[meant.sdk.methods]
        for feature in table.calls.get(f"={name}", table.calls.get(name, ()) if meant.is_client else ()):
            context.add(line, Kind.FEATURE, feature, meant.sdk.provider)
