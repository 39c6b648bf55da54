"""What calls ask of an API: the call itself, its parameters, the parts of its messages and tools."""

import re
from collections.abc import Iterable, Iterator

from freehold.evaluate.scan.detect.clients import is_elsewhere_call
from freehold.evaluate.scan.detect.constants import items, strings, values
from freehold.evaluate.scan.detect.context import Context
from freehold.evaluate.scan.detect.meaning import Meaning, is_of_others
from freehold.evaluate.scan.finding import Confidence, Kind
from freehold.evaluate.scan.knowledge import ClosedName, methods, parameters
from freehold.evaluate.scan.knowledge.sdks import Sdk, sdks
from freehold.evaluate.scan.knowledge.usage import Parameter
from freehold.evaluate.scan.program import Used
from freehold.evaluate.scan.program.values import Call, Choice, Constant, Item, Joined, Name, Path, Record, Scope, Value

MODEL_KEYS = frozenset(
    {"model", "model_name", "model_id", "deployment", "deployment_name", "azure_deployment", "engine"}
)
ASKING = frozenset(["chat", "completions", "responses", "messages", "gemini", "cohere", "mistral", "bedrock"])
"""Features that are an API whose calls have these parameters."""
HOLDERS = frozenset(["extra_body", "config", "generation_config", "model_kwargs", "model_settings", "settings"])
"""Parameters that hold others."""
OPEN_NAMES = re.compile(
    r"[\w.-]+/[\w./-]+|.*(?:llama|qwen|mixtral|gemma|deepseek|phi-\d|gpt-oss|smollm|minimax|kimi|glm-|granite|nemotron"
    r"|olmo|falcon).*",
    re.IGNORECASE,
)


def find_call(context: Context, used: Used, meant: Meaning | None) -> None:
    """The features of one call."""
    features, sdk, sure = _features(context, used, meant)
    if not features and not (meant and _makes_model(meant)):
        return
    if meant and meant.made and is_elsewhere_call(meant.made, used):
        return
    sdk = sdk or (meant.sdk if meant else None)
    assert sdk is not None, "a call with features belongs to a library"
    confidence = Confidence.CERTAIN if sure else Confidence.LIKELY
    asked = list(_arguments(used))
    model = _model(context, used, asked, confidence, sdk)
    for feature in features:
        context.add(
            used.call.line, Kind.FEATURE, feature, sdk.provider, confidence, model=model, foreign=sdk.is_foreign
        )
    if not features or ASKING.intersection(features):
        for item in asked:
            find_parameter(context, item, used.scope, sdk, confidence, model)


def _features(context: Context, used: Used, meant: Meaning | None) -> tuple[tuple[str, ...], Sdk | None, bool]:
    """Of the call's own name; with the library, and whether it is known to be that library's."""
    if meant is None:
        ending = _by_ending(context, used.call.callee)
        return ((), None, False) if ending[0] and is_of_others(used.call.callee, used.scope) else ending
    sdk, table = meant.sdk, methods()[meant.sdk.methods]
    names = tuple(step.removesuffix("()") for step in meant.rest)
    if sdk.itself and not meant.is_client and names and names[0] not in sdk.clients:
        # `openai.embedding(…)` of a module whose `openai` is a client.
        return _of_provider(sdk, names[1:]), sdk, True
    if meant.is_client:
        return (_of_provider(sdk, names) if sdk.itself else table.of(_dotted(names))), sdk, True
    exact = ".".join(names)
    found = table.calls.get(f"={exact}") or table.calls.get(f"={exact.split('.')[-1]}", ())
    return found or table.of(_dotted(names)), sdk, True


def _of_provider(sdk: Sdk, names: Path) -> tuple[str, ...]:
    return methods()[sdk.methods].calls.get(_dotted(names), ()) if names else (sdk.itself,)


def _dotted(names: Path) -> str:
    return ".".join(_snake(name) for name in names)


def _by_ending(context: Context, callee: Path) -> tuple[tuple[str, ...], Sdk | None, bool]:
    """A client that is not known: by the longest end of the name that a library of this file has."""
    steps = [_snake(step.removesuffix("()")) for step in callee if step not in ("with_raw_response", "withResponse")]
    steps = [step for step in steps if step not in ("with_raw_response", "with_streaming_response")]
    for length in range(min(len(steps) - 1, 5), 1, -1):
        ending = ".".join(steps[-length:])
        for sdk in (*context.imported.values(), *_always()):
            table = methods()[sdk.methods]
            known = sdk.id in context.imported
            if ending in table.distinct or (known and (ending in table.calls or ending.startswith("beta."))):
                return table.of(ending), sdk, False
    return (), None, False


def _always() -> Iterable[Sdk]:
    return (sdks()["openai"], sdks()["anthropic"])


def _makes_model(meant: Meaning) -> bool:
    """A wrapper's class takes the model and its parameters when it is made: ChatOpenAI(model=…)."""
    return not meant.is_client and bool(meant.rest) and meant.rest[-1] in meant.sdk.clients


def _arguments(used: Used) -> Iterator[Item]:
    """Keywords, and those of records that stand among the arguments."""
    yield from items(used.call.keywords, used.scope)
    for argument in used.call.arguments:
        if isinstance(argument, Record):
            continue
        for each in values(argument, used.scope):
            if isinstance(each, Record):
                yield from items(each, used.scope)


def _model(context: Context, used: Used, asked: list[Item], confidence: Confidence, sdk: Sdk) -> str:
    """Add the models that the call names, where they are written; give the first."""
    named: list[ClosedName] = []
    for value, is_asked in _model_values(used, asked):
        for constant in strings(value, used.scope):
            text = str(constant.value)
            closed = context.names.recognise(text)
            if closed is None and is_asked and _may_be_deployment(text, sdk):
                closed = ClosedName(text, sdk.provider)
            if closed is not None:
                named.append(closed)
                context.add(constant.line, Kind.MODEL, closed.name, closed.provider, confidence)
    return named[0].name if named else ""


def _model_values(used: Used, asked: list[Item]) -> Iterator[tuple[Value, bool]]:
    """What may name the model, and whether it does so by its keyword; without one it is the first argument."""
    for item in asked:
        if _snake(item.key) not in MODEL_KEYS:
            continue
        yield item.value, True
        for each in values(item.value, used.scope):
            # `model: openai("gpt-4.1")`
            if isinstance(each, Call) and each.arguments:
                yield each.arguments[0], False
    if used.call.arguments and isinstance(used.call.arguments[0], Constant | Name | Choice | Joined):
        yield used.call.arguments[0], False


def _may_be_deployment(text: str, sdk: Sdk) -> bool:
    """A name that nobody knows, given to a closed model's client: a deployment's, or one of its own."""
    plain = bool(re.fullmatch(r"[A-Za-z][\w.:-]{1,80}", text))
    return plain and not sdk.several and not OPEN_NAMES.fullmatch(text)


def find_parameter(context: Context, item: Item, scope: Scope, sdk: Sdk, confidence: Confidence, model: str) -> None:
    known = parameters().everywhere
    name = _snake(item.key)
    if name in HOLDERS:
        for each in values(item.value, scope):
            held = each.keywords if isinstance(each, Call) else each
            for inner in items(held, scope) if isinstance(held, Record) else ():
                find_parameter(context, inner, scope, sdk, confidence, model)
        return
    if name in known:
        for feature in _used(known[name], item.value, scope):
            context.add(item.line, Kind.FEATURE, feature, sdk.provider, confidence, model=model, foreign=sdk.is_foreign)
    for each in values(item.value, scope):
        for inner in items(each, scope) if isinstance(each, Record) else ():
            if below := known.get(f"{name}.{_snake(inner.key)}"):
                for feature in _used(below, inner.value, scope):
                    context.add(
                        inner.line, Kind.FEATURE, feature, sdk.provider, confidence, model=model, foreign=sdk.is_foreign
                    )


def _used(parameter: Parameter, value: Value, scope: Scope) -> set[str]:
    """Features that a value of the parameter uses; none if all that it can be says no."""
    found: set[str] = set()
    for each in values(value, scope):
        if isinstance(each, Constant) and (each.value is None or each.value is False or each.value == "none"):
            continue
        if not parameter.values:
            found.add(parameter.feature)
            continue
        for word in _words(each, scope):
            found.add(parameter.values.get(word, parameter.values.get("else", "")))
    return found - {""}


def _words(value: Value, scope: Scope) -> list[str]:
    """By what a value is told apart: its text, its `type`, its items."""
    if isinstance(value, Constant):
        return [str(value.value)]
    if isinstance(value, Record):
        kinds = [item.value for item in items(value, scope) if item.key == "type"]
        return [str(text.value) for kind in kinds for text in strings(kind, scope)] or ["else"]
    if hasattr(value, "items"):
        return [word for each in value.items for word in _words(each, scope)]
    return ["else"]


def find_parts(context: Context) -> None:
    """Parts of messages and tools, by their `type`, in files that use a closed model's library or API."""
    sdk = context.library()
    if sdk is None:
        return
    known = parameters()
    for noted in context.program.records:
        for item in noted.record.items:
            if feature := known.keys.get(item.key):
                if not (isinstance(item.value, Constant) and item.value.value is None):
                    context.add(
                        item.line, Kind.FEATURE, feature, sdk.provider, Confidence.LIKELY, foreign=sdk.is_foreign
                    )
            elif item.key == "type" and isinstance(item.value, Constant):
                feature = known.parts.get(str(item.value.value), "")
                if feature and _is_part(noted.record, str(item.value.value)):
                    context.add(
                        item.line, Kind.FEATURE, feature, sdk.provider, Confidence.LIKELY, foreign=sdk.is_foreign
                    )


BESIDE = {
    "image": {"source", "image", "data", "url", "base64", "image_url"},
    "file": {"file", "file_id", "data", "file_data", "filename", "mediaType", "mimeType"},
    "document": {"source", "document", "title"},
}
"""Words that are common as a `type`: the key that must stand beside it."""


def _is_part(record: Record, word: str) -> bool:
    wanted = BESIDE.get(word)
    return wanted is None or any(item.key in wanted for item in record.items)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
