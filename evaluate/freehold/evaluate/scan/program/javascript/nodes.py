"""What a node of tree-sitter's says: its line, its text, the names in it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from freehold.evaluate.scan.program.values import Constant, Path, Scope, Value

if TYPE_CHECKING:
    from tree_sitter import Node

TRANSPARENT = frozenset(
    [
        "parenthesized_expression",
        "await_expression",
        "as_expression",
        "satisfies_expression",
        "non_null_expression",
        "type_assertion",
        "expression_statement",
    ]
)


def required(callee: "Node", arguments: tuple[Value, ...]) -> str:
    """The module of `require("…")` and `import("…")`."""
    first = arguments[0] if arguments else None
    if not isinstance(first, Constant) or not isinstance(first.value, str):
        return ""
    return first.value if callee.type == "import" or text_of(callee) in ("require", "__require") else ""


def import_names(clause: "Node") -> Iterable[tuple[str, str]]:
    for child in clause.named_children:
        if child.type == "identifier":
            yield "default", text_of(child)
        elif child.type == "namespace_import":
            yield "", text_of(child.named_children[-1])
        elif child.type == "named_imports":
            for each in child.named_children:
                if each.type != "import_specifier":
                    continue
                name, alias = each.child_by_field_name("name"), each.child_by_field_name("alias")
                if name is not None:
                    yield text_of(name), text_of(alias if alias is not None else name)


def destructured(node: "Node") -> tuple[tuple[str, str], "Node | None"] | tuple[tuple[()], None]:
    """Key and local name, and the default."""
    if node.type == "shorthand_property_identifier_pattern":
        return (text_of(node), text_of(node)), None
    if node.type == "object_assignment_pattern":
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        return ((text_of(left), text_of(left)), right) if left is not None else ((), None)
    if node.type == "pair_pattern":
        key, value = node.child_by_field_name("key"), node.child_by_field_name("value")
        if key is None or value is None:
            return (), None
        if value.type == "assignment_pattern":
            left, right = value.child_by_field_name("left"), value.child_by_field_name("right")
            return ((text_of(key), text_of(left)), right) if left is not None else ((), None)
        if value.type == "identifier":
            return (text_of(key), text_of(value)), None
    return (), None


def path_of(node: "Node", *, keyed: bool = True) -> Path:
    """Empty where it is no reference. Without `keyed`, `tables["responses"]` is not told from other items."""
    steps: list[str] = []
    while True:
        kind = node.type
        if kind in ("identifier", "this"):
            steps.append("self" if kind == "this" else text_of(node))
            return tuple(reversed(steps))
        if kind in ("member_expression", "subscript_expression", "call_expression", "new_expression"):
            step, inner = _step(node, keyed)
            if step == "()":
                if inner is None:
                    return ()
                called = path_of(inner, keyed=keyed)
                return (*called[:-1], f"{called[-1]}()", *reversed(steps)) if called else ()
            steps.append(step)
        elif kind in TRANSPARENT and node.named_children:
            inner = node.named_children[0]
        else:
            return ()
        if inner is None:
            return ()
        node = inner


def _step(node: "Node", keyed: bool) -> tuple[str, "Node | None"]:
    if node.type == "member_expression":
        name = node.child_by_field_name("property")
        return text_of(name) if name is not None else "[]", node.child_by_field_name("object")
    if node.type == "subscript_expression":
        index = node.child_by_field_name("index")
        key = string_of(index) if keyed and index is not None and index.type == "string" else "[]"
        return key, node.child_by_field_name("object")
    return "()", node.child_by_field_name("function") or node.child_by_field_name("constructor")


def room_of(path: Path, scope: Scope) -> Scope:
    """The scope that keeps a name: for `this.x` that of the class; for one that is known outside, that one."""
    name = path[0]
    room: Scope | None = scope
    if name == "self":
        while room is not None and not room.is_class:
            room = room.parent
        return room or scope
    while room is not None:
        if name in room.bindings:
            return room
        room = room.parent
    return scope


def line_of(node: "Node") -> int:
    return int(node.start_point[0]) + 1


def text_of(node: "Node") -> str:
    return node.text.decode(errors="replace") if node.text is not None else ""


def string_of(node: "Node") -> str:
    """The content of a string node, its escapes as they are written."""
    return "".join(text_of(child) for child in node.named_children)
