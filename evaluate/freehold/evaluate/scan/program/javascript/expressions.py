"""Expressions of JavaScript and TypeScript, in the form of every language."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from freehold.evaluate.scan.program.javascript.nodes import TRANSPARENT, line_of, path_of, required, string_of, text_of
from freehold.evaluate.scan.program.program import Import, Noted, Place, Program, Text, Used
from freehold.evaluate.scan.program.values import (
    Call,
    Choice,
    Constant,
    Imported,
    Item,
    Joined,
    Name,
    Record,
    Scope,
    Several,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from tree_sitter import Node

DEEPEST = 250
"""Levels of nesting; what is below is generated."""
FUNCTIONS = frozenset(
    [
        "function_declaration",
        "function_expression",
        "generator_function",
        "generator_function_declaration",
        "arrow_function",
        "method_definition",
    ]
)
VISITED = frozenset(["comment", "class", "class_declaration", "abstract_class_declaration", "variable_declarator"])
INTEROP = frozenset({"__importDefault", "__importStar", "_interopRequireDefault", "_interopRequireWildcard", "__toESM"})
"""What compilers wrap around `require`."""


class Expressions(ABC):
    """Visits every node once, and keeps what a detector may ask for."""

    def __init__(self) -> None:
        self.program = Program()

    @abstractmethod
    def visit(self, node: "Node", scope: Scope, depth: int) -> None:
        """A statement, or whatever holds expressions."""

    @abstractmethod
    def children(self, node: "Node", scope: Scope, depth: int) -> None:
        """Those of a node that says nothing itself."""

    @abstractmethod
    def function(self, node: "Node", scope: Scope, depth: int) -> None:
        """A function, and what it gives back."""

    @abstractmethod
    def bind(self, target: "Node", value: Value, scope: Scope, depth: int) -> None:
        """Names that get a value."""

    def value(self, node: "Node", scope: Scope, depth: int) -> Value:
        if depth > DEEPEST:
            return Unknown(line_of(node))
        kind = node.type
        if kind in TRANSPARENT:
            return self.wrapped(node, scope, depth)
        if kind == "string":
            text = string_of(node)
            self.program.texts.append(Text(line_of(node), text))
            return Constant(line_of(node), text)
        if kind == "template_string":
            return self.template(node, scope, depth)
        if kind in ("true", "false", "null", "undefined", "number"):
            return Constant(line_of(node), {"true": True, "false": False}.get(kind, None if kind != "number" else 1))
        if kind in ("identifier", "this", "member_expression", "subscript_expression"):
            return self.reference(node, scope, depth)
        if kind == "object":
            return self.record(node, scope, depth)
        if kind == "array":
            return Several(line_of(node), tuple(self.value(each, scope, depth + 1) for each in node.named_children))
        if kind in ("call_expression", "new_expression"):
            return self.call(node, scope, depth)
        if kind in ("binary_expression", "ternary_expression"):
            return self.combined(node, scope, depth)
        if kind == "assignment_expression":
            return self.assignment(node, scope, depth)
        if kind in FUNCTIONS:
            self.function(node, scope, depth)
            return Unknown(line_of(node))
        if kind in VISITED:
            self.visit(node, scope, depth + 1)
            return Unknown(line_of(node))
        self.children(node, scope, depth + 1)
        return Unknown(line_of(node))

    def wrapped(self, node: "Node", scope: Scope, depth: int) -> Value:
        inside = [child for child in node.named_children if child.type != "comment"]
        for child in inside[1:]:
            self.visit(child, scope, depth + 1)
        return self.value(inside[0], scope, depth + 1) if inside else Unknown(line_of(node))

    def template(self, node: "Node", scope: Scope, depth: int) -> Value:
        parts: list[Value] = []
        for child in node.named_children:
            if child.type == "template_substitution":
                inside = child.named_children
                parts.append(self.value(inside[0], scope, depth + 1) if inside else Unknown(line_of(child)))
            else:
                parts.append(Constant(line_of(child), text_of(child)))
        if len(parts) == 1 and isinstance(parts[0], Constant):
            self.program.texts.append(Text(line_of(node), str(parts[0].value)))
            return Constant(line_of(node), parts[0].value)
        for part in parts:
            if isinstance(part, Constant) and isinstance(part.value, str):
                self.program.texts.append(Text(part.line, part.value, Place.PART))
        return self.joined(Joined(line_of(node), tuple(parts)), scope)

    def joined(self, value: Joined, scope: Scope) -> Joined:
        self.program.joined.append((value, scope))
        return value

    def reference(self, node: "Node", scope: Scope, depth: int) -> Value:
        if node.type == "subscript_expression" and (index := node.child_by_field_name("index")) is not None:
            self.value(index, scope, depth + 1)
        if node.type in ("member_expression", "subscript_expression"):
            holder = node.child_by_field_name("object")
            if holder is not None and holder.type not in ("identifier", "this"):
                self.value(holder, scope, depth + 1)
        path = path_of(node)
        if len(path) > 2 and path[-2] == "env":
            self.program.texts.append(Text(line_of(node), path[-1]))
        return Name(line_of(node), path) if path else Unknown(line_of(node))

    def record(self, node: "Node", scope: Scope, depth: int) -> Record:
        items: list[Item] = []
        spreads: list[Value] = []
        for child in node.named_children:
            if child.type == "pair":
                key, given = child.child_by_field_name("key"), child.child_by_field_name("value")
                if key is None or given is None:
                    continue
                self.program.texts.append(Text(line_of(key), string_of(key) if key.type == "string" else text_of(key)))
                name = string_of(key) if key.type == "string" else text_of(key)
                items.append(Item(name, line_of(child), self.value(given, scope, depth + 1)))
            elif child.type == "shorthand_property_identifier":
                items.append(Item(text_of(child), line_of(child), Name(line_of(child), (text_of(child),))))
            elif child.type == "spread_element" and child.named_children:
                spreads.append(self.value(child.named_children[0], scope, depth + 1))
            else:
                self.visit(child, scope, depth + 1)
        record = Record(line_of(node), tuple(items), tuple(spreads))
        self.program.records.append(Noted(record, scope))
        return record

    def call(self, node: "Node", scope: Scope, depth: int) -> Value:
        callee = node.child_by_field_name("function") or node.child_by_field_name("constructor")
        given = node.child_by_field_name("arguments")
        listed = [each for each in given.named_children if each.type != "comment"] if given is not None else []
        if callee is not None and callee.type not in ("identifier", "import"):
            self.value(callee, scope, depth + 1)
        if given is not None and given.type == "template_string":
            self.value(given, scope, depth + 1)
            return Unknown(line_of(node))
        arguments = tuple(self.value(each, scope, depth + 1) for each in listed)
        if callee is not None and (module := required(callee, arguments)):
            self.program.imports.append(Import(line_of(node), module))
            return Imported(line_of(node), module, "")
        path = path_of(callee, keyed=False) if callee is not None else ()
        if not path:
            return Unknown(line_of(node))
        if path in (("Object", "assign"), ("JSON", "stringify")):
            return Record(line_of(node), (), arguments if path[0] == "Object" else arguments[:1])
        if len(arguments) == 1 and path[-1] in INTEROP:
            return arguments[0]
        keywords = Record(line_of(node), (), tuple(each for each in arguments if isinstance(each, Record | Name)))
        call = Call(line_of(node), path, arguments, keywords, node.type == "new_expression")
        self.program.calls.append(Used(call, scope))
        return call

    def combined(self, node: "Node", scope: Scope, depth: int) -> Value:
        """`a || b`, `a ?? b`, `a ? b : c`, `a + b`; of `a && b` what comes last."""
        operator = node.child_by_field_name("operator")
        sign = text_of(operator) if operator is not None else "?"
        values = tuple(self.value(each, scope, depth + 1) for each in node.named_children if each.type != "comment")
        if sign == "+":
            return self.joined(Joined(line_of(node), values), scope)
        if sign in ("||", "??"):
            return Choice(line_of(node), values)
        return Choice(line_of(node), values[1:]) if sign in ("?", "&&") else Unknown(line_of(node))

    def assignment(self, node: "Node", scope: Scope, depth: int) -> Value:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if left is None or right is None:
            return Unknown(line_of(node))
        value = self.value(right, scope, depth + 1)
        if left.type in ("subscript_expression", "member_expression"):
            self.reference(left, scope, depth)
        self.bind(left, value, scope, depth)
        return value
