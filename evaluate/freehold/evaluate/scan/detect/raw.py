"""Requests without a library: by the path of the URL, and the body that is sent there."""

import re
from functools import cache

from freehold.evaluate.scan.detect.constants import items, values
from freehold.evaluate.scan.detect.context import Context
from freehold.evaluate.scan.detect.features import find_parameter
from freehold.evaluate.scan.finding import Confidence, Kind
from freehold.evaluate.scan.knowledge import find_endpoints
from freehold.evaluate.scan.knowledge.data import read_data
from freehold.evaluate.scan.program import Place
from freehold.evaluate.scan.program.values import Constant, Joined, Scope

LONGEST = 400
"""Characters of a text that may be a URL; what is longer speaks of it."""
_BODY = frozenset({"messages", "input", "prompt"})


def find_raw(context: Context) -> None:
    """Paths of closed models' APIs in URLs, whole or put together; then the parameters of what is sent."""
    for text in context.program.texts:
        is_code = text.place is not Place.PROSE and len(text.text) < LONGEST
        for endpoint in find_endpoints(text.text) if is_code else ():
            _add(context, text.line, endpoint.path, endpoint.provider)
    for joined, scope in context.program.joined:
        _joined(context, joined, scope)
    if any(kind is Kind.ENDPOINT for _, kind, _ in context.found) and (sdk := context.library()):
        for noted in context.program.records:
            keys = {item.key for item in noted.record.items}
            if keys & _BODY and ("model" in keys or noted.record.spreads):
                for item in items(noted.record, noted.scope):
                    find_parameter(context, item, noted.scope, sdk, Confidence.LIKELY, "")


def _joined(context: Context, joined: Joined, scope: Scope) -> None:
    """`f"{base}/chat/completions"`, where `base` may be a closed model's."""
    last = joined.parts[-1] if joined.parts else None
    path = next((str(part.value) for part in joined.parts[1:] if isinstance(part, Constant)), "")
    if not isinstance(last, Constant | Joined) and not path:
        return
    for each in values(joined.parts[0], scope):
        if isinstance(each, Constant) and isinstance(each.value, str):
            for endpoint in find_endpoints(each.value):
                _add(context, joined.line, endpoint.path + path, endpoint.provider)
    whole = "".join(str(part.value) if isinstance(part, Constant) else "*" for part in joined.parts)
    if match := re.search(r"/openai/deployments/[^/]+(/.+)", whole):
        _add(context, joined.line, match[1], "openai")


def _add(context: Context, line: int, path: str, provider: str) -> None:
    for ending, feature in _paths():
        if ending.search(path.split("?")[0]):
            foreign = provider in ("google", "amazon", "cohere", "mistral") and feature not in ("rerank",)
            context.add(line, Kind.FEATURE, feature, provider, foreign=foreign)
            return


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), feature) for pattern, feature in read_data("paths").items()]
