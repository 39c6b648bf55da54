"""What a dotted name means: which library's class, or which client's method."""

from collections.abc import Iterator
from dataclasses import dataclass

from freehold.evaluate.scan.detect.trail import Trail
from freehold.evaluate.scan.knowledge.sdks import Language, Sdk, others, sdk_of_class, sdk_of_module, sdks
from freehold.evaluate.scan.program.values import Call, Choice, Constant, Imported, Name, Path, Scope, Value, Within

SAME_CLIENT = frozenset({"with_options", "copy", "withOptions", "with_raw_response", "with_streaming_response"})
"""What a client has that leads to itself."""

WRAPPERS = frozenset({"wrap_openai", "wrapOpenAI", "observeOpenAI", "wrap_anthropic"})
"""Functions of observers that give back the client they are given."""


HANDED_ON = frozenset({"openai", "anthropic", "litellm", "cohere", "instructor"})
"""Modules that applications import once and hand on under their own name."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """Of one name."""

    sdk: Sdk
    rest: Path
    """What follows: of a module the class or function, of a client the method."""
    is_client: bool
    made: Call | None = None
    """The construction of the client, where it was seen."""


def meaning(path: Path, scope: Scope, language: Language) -> Meaning | None:
    """The first that is found; None for a name that leads to no known library."""
    return next(_meanings(path, scope, language, Trail()), None)


def _makes_client(found: Meaning) -> bool:
    """A class of clients, or a function that wraps one."""
    name = class_of(found)
    return name in sdk_of_class(found.sdk, name).clients or found.sdk.id == "instructor" or name == "Agent"


def class_of(found: Meaning) -> str:
    """The class that a call makes something of: also that of `Class.from_pretrained(…)`."""
    if (
        len(found.rest) > 1
        and found.rest[-1].startswith(("from", "create_client"))
        and found.rest[-2] in found.sdk.clients
    ):
        return found.rest[-2]
    return found.rest[-1]


def is_of_others(path: Path, scope: Scope) -> bool:
    """Whether a name leads to a library whose calls are like a closed model's, and which reaches open ones."""
    trail = Trail()
    waiting: list[tuple[Path, Scope]] = [(path, scope)]
    while waiting and not trail.is_lost():
        steps, room = waiting.pop()
        for length in (2, 1):
            for value in look_up(".".join(steps[:length]).removesuffix("()"), room):
                where = value.scope if isinstance(value, Within) else room
                inner = value.value if isinstance(value, Within) else value
                if isinstance(inner, Imported) and inner.module.split(".")[0] in others():
                    return True
                if isinstance(inner, Name | Call):
                    waiting.append((inner.path if isinstance(inner, Name) else inner.callee, where))
    return False


def look_up(name: str, scope: Scope) -> list[Value]:
    """What a name is bound to, in the innermost scope that has it. A class's names are seen as `self.x` only."""
    room: Scope | None = scope
    while room is not None:
        if name in room.bindings and (not room.is_class or name.startswith("self.") or room is scope):
            return room.bindings[name]
        room = room.parent
    return []


def _meanings(path: Path, scope: Scope, language: Language, trail: Trail) -> Iterator[Meaning]:
    if not path or trail.is_lost():
        return
    for length in (2, 1):
        if len(path) < length:
            continue
        name, rest = ".".join(path[:length]), path[length:]
        for value in reversed(look_up(name, scope)):
            yield from _of_value(value, rest, scope, language, trail.deeper())
        if annotated := _type_of(name, scope):
            for found in _meanings(annotated, scope, language, trail.deeper()):
                if not found.is_client and len(found.rest) == 1:
                    yield Meaning(sdk_of_class(found.sdk, found.rest[0]), _plain(rest), True)
    if path[0].endswith("()"):
        yield from _called(path, scope, language, trail)


def _called(path: Path, scope: Scope, language: Language, trail: Trail) -> Iterator[Meaning]:
    """`OpenAI().chat`: what a class makes."""
    for found in _meanings((path[0][:-2],), scope, language, trail.deeper()):
        if found.rest and not found.is_client and _makes_client(found):
            yield Meaning(sdk_of_class(found.sdk, found.rest[-1]), _plain(path[1:]), True)


def _of_value(value: Value, rest: Path, scope: Scope, language: Language, trail: Trail) -> Iterator[Meaning]:
    if trail.is_lost():
        return
    if isinstance(value, Imported):
        yield from _of_import(value, rest, language)
    elif isinstance(value, Name):
        yield from _meanings((*value.path, *rest), scope, language, trail.deeper())
    elif isinstance(value, Within):
        yield from _of_value(value.value, rest, value.scope, language, trail.deeper())
    elif isinstance(value, Choice):
        for option in value.options:
            yield from _of_value(option, rest, scope, language, trail.deeper())
    elif isinstance(value, Call):
        yield from _of_call(value, rest, scope, language, trail)


def _of_import(value: Imported, rest: Path, language: Language) -> Iterator[Meaning]:
    whole = (*((value.symbol,) if value.symbol else ()), *rest)
    module = value.module
    if language == "javascript":
        if sdk := sdk_of_module(module, language):
            yield Meaning(
                sdk, tuple(next(iter(sdk.clients), step) if step == "default" else step for step in whole), False
            )
        return
    if value.symbol in HANDED_ON and not sdk_of_module(module, language):
        # `from app.llm import litellm`: the application hands the library on.
        module, whole = value.symbol, rest
    # `import google.generativeai as genai`, `from google import genai`: the symbol may be a module itself.
    for taken in range(len(whole), -1, -1):
        name = ".".join((module, *whole[:taken]))
        if sdk := sdk_of_module(name, language):
            if taken and not _is_module(name, sdk):
                continue
            yield Meaning(sdk, whole[taken:], False)
            return


def _is_module(name: str, sdk: Sdk) -> bool:
    return any(name == prefix for prefix in sdk.modules.get("python", ()))


def _of_call(call: Call, rest: Path, scope: Scope, language: Language, trail: Trail) -> Iterator[Meaning]:
    if call.callee[-1] in SAME_CLIENT:
        yield from _meanings((*call.callee[:-1], *rest), scope, language, trail.deeper())
        return
    if call.callee[-1] in WRAPPERS:
        for argument in call.arguments[:1]:
            yield from _of_value(argument, rest, scope, language, trail.deeper())
        return
    if call.callee[-1] == "client" and (sdk := bedrock_of(call)):
        yield Meaning(sdk, _plain(rest), True, call)
        return
    for found in _meanings(call.callee, scope, language, trail.deeper()):
        if found.rest and (found.is_client or _makes_client(found)):
            yield Meaning(sdk_of_class(found.sdk, class_of(found)), _plain(rest), True, call)
    # A function of the file that gives back a client.
    yield from _meanings((*call.callee[:-1], f"{call.callee[-1]}()", *rest), scope, language, trail.deeper())


def bedrock_of(call: Call) -> Sdk | None:
    """`boto3.client("bedrock-runtime")`."""
    return (
        sdks()["bedrock"] if any(each.value in ("bedrock-runtime", "bedrock") for each in named_service(call)) else None
    )


def named_service(call: Call) -> list[Constant]:
    """What the first argument of `client(…)` says."""
    named = [item.value for item in call.keywords.items if item.key == "service_name"] + list(call.arguments[:1])
    return [each for each in named if isinstance(each, Constant)]


def _type_of(name: str, scope: Scope) -> Path:
    room: Scope | None = scope
    while room is not None:
        if name in room.types:
            return room.types[name]
        room = room.parent
    return ()


def _plain(path: Path) -> Path:
    """Without the steps that lead to the same client."""
    return tuple(step for step in path if step.removesuffix("()") not in SAME_CLIENT)
