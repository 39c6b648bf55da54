"""Which constants a value may be: through names, defaults, classes and parts put together."""

from collections.abc import Iterator

from freehold.evaluate.scan.detect.meaning import look_up
from freehold.evaluate.scan.detect.trail import Trail
from freehold.evaluate.scan.program.values import (
    Call,
    Choice,
    Constant,
    Item,
    Joined,
    Name,
    Path,
    Record,
    Scope,
    Unknown,
    Value,
    Within,
)

MOST = 64
"""Constants that one value is followed to."""


def values(value: Value, scope: Scope, trail: Trail | None = None) -> list[Value]:
    """What a value may be when its names are followed; the value itself where they lead nowhere."""
    found: list[Value] = []
    for each in _follow(value, scope, trail or Trail()):
        found.append(each)
        if len(found) >= MOST:
            break
    return found


def strings(value: Value, scope: Scope) -> list[Constant]:
    """The texts that it may be, each with the line where it is written."""
    return [each for each in values(value, scope) if isinstance(each, Constant) and isinstance(each.value, str)]


def items(record: Record, scope: Scope, trail: Trail | None = None) -> list[Item]:
    """Its keys, those of what is unpacked into it included."""
    found = list(record.items)
    trail = trail or Trail()
    if not trail.is_lost():
        for spread in record.spreads:
            for each in values(spread, scope, trail.deeper()):
                if isinstance(each, Record):
                    found += items(each, scope, trail.deeper())
                elif isinstance(each, Call):
                    # What builds the arguments hands its own on.
                    found += items(each.keywords, scope, trail.deeper())
    return found


def _follow(value: Value, scope: Scope, trail: Trail) -> Iterator[Value]:
    if trail.is_lost():
        yield value
    elif isinstance(value, Name):
        bound = _bound(value.path, scope, trail)
        if not bound:
            yield value
        for each in bound:
            yield from _follow(each, scope, trail.deeper())
    elif isinstance(value, Within):
        for each in _follow(value.value, value.scope, trail.deeper()):
            yield _closed(each, value.scope)
    elif isinstance(value, Choice):
        for option in value.options:
            yield from _follow(option, scope, trail.deeper())
    elif isinstance(value, Joined):
        yield from _joined(value, scope, trail)
    elif isinstance(value, Call):
        yield from _result(value, scope, trail)
    else:
        yield value


def _closed(value: Value, scope: Scope) -> Value:
    """The value, what is in it still to be looked up where it was written."""
    if isinstance(value, Record):
        inner = tuple(Item(each.key, each.line, _within(each.value, scope)) for each in value.items)
        return Record(value.line, inner, tuple(_within(each, scope) for each in value.spreads))
    if isinstance(value, Call):
        arguments = tuple(_within(each, scope) for each in value.arguments)
        keywords = _closed(value.keywords, scope)
        assert isinstance(keywords, Record), "a record stays one"
        return Call(value.line, value.callee, arguments, keywords, value.constructs)
    return value


def _within(value: Value, scope: Scope) -> Value:
    return value if isinstance(value, Constant | Unknown | Within) else Within(value.line, value, scope)


def _bound(path: Path, scope: Scope, trail: Trail) -> list[Value]:
    """What a reference is bound to: a name, an attribute of the object, a constant of a class, a key of a record."""
    for length in range(len(path), 0, -1):
        if bound := look_up(".".join(path[:length]), scope):
            return _keys(bound, path[length:], scope, trail)
    if len(path) > 1 and (room := _class(path[0], scope)):
        bound = room.bindings.get(path[1], [])
        return bound if path[2:] in ((), ("value",)) else _keys(bound, path[2:], room, trail)
    return []


def _keys(bound: list[Value], rest: Path, scope: Scope, trail: Trail) -> list[Value]:
    for step in rest:
        if trail.is_lost():
            return []
        trail = trail.deeper()
        records = [each for value in bound for each in values(value, scope, trail) if isinstance(each, Record)]
        bound = [item.value for record in records for item in items(record, scope, trail) if item.key == step]
    return bound


def _class(name: str, scope: Scope) -> Scope | None:
    room: Scope | None = scope
    while room is not None:
        if name in room.classes:
            return room.classes[name]
        room = room.parent
    return None


def _joined(value: Joined, scope: Scope, trail: Trail) -> Iterator[Value]:
    """A text, if every part is one; else the joined value itself."""
    text = ""
    for part in value.parts:
        known = [
            each
            for each in values(part, scope, trail.deeper())
            if isinstance(each, Constant) and isinstance(each.value, str | int)
        ]
        if len(known) != 1:
            yield value
            return
        text += str(known[0].value)
    yield Constant(value.line, text)


DEFAULTING = frozenset(["getenv", "get", "pop", "getattr", "setdefault", "config", "env", "Form", "Query"])
"""Calls whose last argument is what they give when nothing else is known."""
HOLDING = frozenset({"Field", "str", "SecretStr", "strip", "model_copy"})
"""Calls that give back what they are given."""


def _result(call: Call, scope: Scope, trail: Trail) -> Iterator[Value]:
    """A call, what its function gives back, and its default: `os.getenv("MODEL", "gpt-4o")`."""
    yield call
    name = call.callee[-1]
    for value in _bound((*call.callee[:-1], f"{name}()"), scope, trail):
        yield from _follow(value, scope, trail.deeper())
    named = [item.value for item in call.keywords.items if item.key == "default"]
    if name in DEFAULTING and len(call.arguments) > 1:
        named.append(call.arguments[-1])
    elif name in HOLDING:
        named += call.arguments[:1]
    for each in named:
        yield from _follow(each, scope, trail.deeper())
