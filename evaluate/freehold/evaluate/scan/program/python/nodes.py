"""The names in a node of Python's own tree."""

import ast
from collections.abc import Iterable

from freehold.evaluate.scan.program.values import Path, Scope


def room_of(path: Path, scope: Scope) -> Scope:
    """The scope that keeps a name: for `self.x` that of the class."""
    if len(path) > 1 and path[0] in ("self", "cls"):
        room: Scope | None = scope
        while room is not None and not room.is_class:
            room = room.parent
        return room or scope
    return scope


def path_of(node: ast.expr, *, keyed: bool = True) -> Path:
    """Empty where it is no reference. Without `keyed`, `tables["responses"]` is not told from other items."""
    steps: list[str] = []
    while True:
        match node:
            case ast.Attribute():
                steps.append(node.attr)
                node = node.value
            case ast.Subscript(slice=ast.Constant(value=str(key))) if keyed:
                steps.append(key)
                node = node.value
            case ast.Subscript():
                steps.append("[]")
                node = node.value
            case ast.Await():
                node = node.value
            case ast.Call():
                callee = node.func
                if not isinstance(callee, ast.Attribute | ast.Name):
                    return ()
                steps.append(f"{callee.attr if isinstance(callee, ast.Attribute) else callee.id}()")
                if isinstance(callee, ast.Name):
                    return tuple(reversed(steps))
                node = callee.value
            case ast.Name():
                steps.append("self" if node.id == "cls" else node.id)
                return tuple(reversed(steps))
            case _:
                return ()


def named_types(annotation: ast.expr) -> Iterable[Path]:
    match annotation:
        case ast.Name() | ast.Attribute():
            if path := path_of(annotation):
                yield path
        case ast.BinOp(op=ast.BitOr()):
            yield from named_types(annotation.right)
            yield from named_types(annotation.left)
        case ast.Subscript(value=ast.Name() | ast.Attribute() as outer, slice=inner):
            if path_of(outer)[-1:] in (("Optional",), ("Annotated",), ("Union",)):
                yield from named_types(inner)
        case ast.Tuple():
            for each in annotation.elts:
                yield from named_types(each)
        case ast.Constant(value=str(text)):
            try:
                yield from named_types(ast.parse(text, mode="eval").body)
            except (SyntaxError, ValueError):
                return
        case _:
            return
