"""Statements of JavaScript and TypeScript: imports, declarations, classes, functions, and what names are bound to."""

from typing import TYPE_CHECKING

from freehold.evaluate.scan.program.javascript.expressions import DEEPEST, FUNCTIONS, Expressions
from freehold.evaluate.scan.program.javascript.nodes import (
    destructured,
    import_names,
    line_of,
    path_of,
    room_of,
    string_of,
    text_of,
)
from freehold.evaluate.scan.program.program import Import, Noted, Place, Text
from freehold.evaluate.scan.program.values import (
    Imported,
    Item,
    Name,
    Path,
    Record,
    Scope,
    Several,
    Unknown,
    Value,
    Within,
)

if TYPE_CHECKING:
    from tree_sitter import Node


class Statements(Expressions):
    """Visits a program from its top."""

    def children(self, node: "Node", scope: Scope, depth: int) -> None:
        for child in node.named_children:
            self.visit(child, scope, depth)

    def visit(self, node: "Node", scope: Scope, depth: int) -> None:
        """A statement, or whatever holds expressions."""
        if depth > DEEPEST:
            return
        kind = node.type
        if kind == "import_statement":
            self.imported(node, scope)
        elif kind == "export_statement" and node.child_by_field_name("source") is not None:
            self.reexported(node)
        elif kind == "variable_declarator":
            self.declared(node, scope, depth)
        elif kind in ("class_declaration", "class", "abstract_class_declaration"):
            self.class_(node, scope, depth)
        elif kind in FUNCTIONS:
            self.function(node, scope, depth)
        elif kind in ("public_field_definition", "field_definition"):
            self.field(node, scope, depth)
        elif kind == "return_statement":
            self.returned(node, scope, depth)
        elif kind == "comment":
            self.program.texts.append(Text(line_of(node), text_of(node), Place.PROSE))
        else:
            self.value(node, scope, depth)

    def imported(self, node: "Node", scope: Scope) -> None:
        source = node.child_by_field_name("source")
        module = string_of(source) if source is not None else ""
        names = [child for child in node.named_children if child.type == "import_clause"]
        bound = [(symbol, local) for clause in names for symbol, local in import_names(clause)]
        if not module:
            self.required_as(node, scope)
            return
        for symbol, local in bound or [("", "")]:
            self.program.imports.append(Import(line_of(node), module, symbol))
            if local:
                scope.bind(local, Imported(line_of(node), module, symbol))

    def required_as(self, node: "Node", scope: Scope) -> None:
        """`import openai = require("openai")`."""
        for clause in node.named_children:
            source = clause.child_by_field_name("source")
            if clause.type == "import_require_clause" and source is not None:
                self.program.imports.append(Import(line_of(node), string_of(source)))
                scope.bind(text_of(clause.named_children[0]), Imported(line_of(node), string_of(source), ""))

    def reexported(self, node: "Node") -> None:
        source = node.child_by_field_name("source")
        if source is not None:
            self.program.imports.append(Import(line_of(node), string_of(source)))

    def declared(self, node: "Node", scope: Scope, depth: int) -> None:
        name, given = node.child_by_field_name("name"), node.child_by_field_name("value")
        value = self.value(given, scope, depth + 1) if given is not None else Unknown(line_of(node))
        if name is None:
            return
        self.annotate(node, name, scope)
        self.bind(name, value, scope, depth)

    def bind(self, target: "Node", value: Value, scope: Scope, depth: int) -> None:
        if target.type == "object_pattern":
            self.destructured(target, value, scope, depth)
        elif target.type == "array_pattern":
            items = value.items if isinstance(value, Several) else ()
            for index, child in enumerate(target.named_children):
                self.bind(child, items[index] if index < len(items) else Unknown(line_of(child)), scope, depth)
        elif target.type == "assignment_pattern":
            left, right = target.child_by_field_name("left"), target.child_by_field_name("right")
            if left is not None and right is not None:
                self.bind(left, Unknown(line_of(left)), scope, depth)
                self.bind(left, self.value(right, scope, depth + 1), scope, depth)
        elif path := path_of(target):
            self.assigned(path, value, scope)

    def assigned(self, path: Path, value: Value, scope: Scope) -> None:
        room = room_of(path, scope)
        room.bind(".".join(path), value if room is scope else Within(value.line, value, scope))
        if len(path) > 1:
            # `parameters.tools = …` adds to a record.
            record = Record(value.line, (Item(path[-1], value.line, value),))
            holder = room_of(path[:-1], scope)
            holder.bind(".".join(path[:-1]), record if holder is scope else Within(value.line, record, scope))
            self.program.records.append(Noted(record, scope))

    def destructured(self, target: "Node", value: Value, scope: Scope, depth: int) -> None:
        """`const { OpenAI, model = "gpt-4o" } = …`."""
        for child in target.named_children:
            key, default = destructured(child)
            if not key:
                continue
            bound: list[Value] = []
            if isinstance(value, Imported):
                bound.append(Imported(value.line, value.module, key[0]))
                self.program.imports.append(Import(value.line, value.module, key[0]))
            elif isinstance(value, Name):
                if value.path[-1] == "env":
                    self.program.texts.append(Text(line_of(child), key[0]))
                bound.append(Name(line_of(child), (*value.path, key[0])))
            if default is not None:
                bound.append(self.value(default, scope, depth + 1))
            for each in (Unknown(line_of(child)), *bound):
                scope.bind(key[1], each)

    def annotate(self, holder: "Node", name: "Node", scope: Scope) -> None:
        annotation = holder.child_by_field_name("type")
        path = path_of(name)
        if annotation is not None and path:
            for each in annotation.named_children:
                if each.type in ("type_identifier", "nested_type_identifier"):
                    room_of(path, scope).types[".".join(path)] = tuple(text_of(each).split("."))
                else:
                    self.children(each, scope, 1)

    def class_(self, node: "Node", scope: Scope, depth: int) -> None:
        inner = Scope(scope, is_class=True)
        if name := node.child_by_field_name("name"):
            scope.classes[text_of(name)] = inner
        for child in node.named_children:
            if child.type == "class_body":
                self.children(child, inner, depth + 1)
            elif child.type == "decorator":
                self.visit(child, scope, depth + 1)
            elif child.type == "class_heritage":
                self.children(child, scope, depth + 1)

    def field(self, node: "Node", scope: Scope, depth: int) -> None:
        name = node.child_by_field_name("name") or node.child_by_field_name("property")
        given = node.child_by_field_name("value")
        if name is None:
            return
        self.annotate_field(node, name, scope)
        if given is not None:
            value = self.value(given, scope, depth + 1)
            scope.bind(f"self.{text_of(name)}", value)
            scope.bind(text_of(name), value)

    def annotate_field(self, node: "Node", name: "Node", scope: Scope) -> None:
        annotation = node.child_by_field_name("type")
        for each in annotation.named_children if annotation is not None else ():
            if each.type in ("type_identifier", "nested_type_identifier"):
                scope.types[f"self.{text_of(name)}"] = tuple(text_of(each).split("."))
            else:
                self.children(each, scope, 1)

    def function(self, node: "Node", scope: Scope, depth: int) -> None:
        inner = Scope(scope)
        inner.bind("return", Unknown(line_of(node)))
        parameters = node.child_by_field_name("parameters")
        for parameter in parameters.named_children if parameters is not None else ():
            self.parameter(parameter, inner, scope, depth)
        body = node.child_by_field_name("body")
        if body is not None and body.type == "statement_block":
            self.children(body, inner, depth + 1)
        elif body is not None:
            inner.bind("return", self.value(body, inner, depth + 1))
        name = node.child_by_field_name("name")
        if name is not None:
            self.bind_results(text_of(name), inner, scope)

    def bind_results(self, name: str, inner: Scope, scope: Scope) -> None:
        """What a function gives back, under `name()`."""
        for value in inner.bindings["return"][1:]:
            scope.bind(f"{name}()", Within(value.line, value, inner))
            if scope.is_class:
                scope.bind(f"self.{name}()", Within(value.line, value, inner))

    def parameter(self, node: "Node", inner: Scope, outer: Scope, depth: int) -> None:
        if node.type in ("required_parameter", "optional_parameter"):
            name, given = node.child_by_field_name("pattern"), node.child_by_field_name("value")
            value = self.value(given, outer, depth + 1) if given is not None else None
            if name is None:
                return
            self.annotate(node, name, inner)
            for each in (Unknown(line_of(node)), *((value,) if value is not None else ())):
                self.bind(name, each, inner, depth)
            if inner.parent is not None and inner.parent.is_class and node.child(0) is not name and path_of(name):
                # `constructor(private client: OpenAI)` is a field as well.
                inner.parent.types |= {f"self.{key}": path for key, path in inner.types.items()}
        else:
            self.bind(node, Unknown(line_of(node)), inner, depth)

    def returned(self, node: "Node", scope: Scope, depth: int) -> None:
        for child in node.named_children:
            value = self.value(child, scope, depth + 1)
            room: Scope | None = scope
            while room is not None and "return" not in room.bindings:
                room = room.parent
            if room is not None:
                room.bind("return", value)
