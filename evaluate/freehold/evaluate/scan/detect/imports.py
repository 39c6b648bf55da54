"""Libraries that a program imports."""

from freehold.evaluate.scan.detect.context import Context
from freehold.evaluate.scan.finding import Confidence, Kind
from freehold.evaluate.scan.knowledge import sdk_of_module
from freehold.evaluate.scan.knowledge.sdks import Sdk, sdk_of_class
from freehold.evaluate.scan.program import Import


def find_imports(context: Context) -> None:
    """One finding for a library and a line."""
    for each in context.program.imports:
        if sdk := _sdk(context, each):
            context.imported[sdk.id] = sdk
            confidence = Confidence.LIKELY if sdk.several else Confidence.CERTAIN
            context.add(each.line, Kind.SDK, sdk.id, sdk.provider, confidence)


def _sdk(context: Context, each: Import) -> Sdk | None:
    if context.language == "python" and each.symbol and (whole := f"{each.module}.{each.symbol}"):
        found = sdk_of_module(whole, "python")
    else:
        found = sdk_of_module(each.module, context.language)
    return sdk_of_class(found, each.symbol) if found else None
