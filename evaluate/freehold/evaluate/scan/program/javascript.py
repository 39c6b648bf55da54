"""Read JavaScript and TypeScript with tree-sitter's grammars, which go on after an error."""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from freehold.evaluate.scan.program.program import Import, Noted, Place, Program, Text, Used
from freehold.evaluate.scan.program.values import (
    Call,
    Choice,
    Constant,
    Imported,
    Item,
    Joined,
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
    from tree_sitter import Node, Parser

DEEPEST = 250
"""Levels of nesting; what is below is generated."""
FUNCTIONS = frozenset(
    "function_declaration function_expression generator_function generator_function_declaration arrow_function "
    "method_definition".split()
)
VISITED = frozenset("comment class class_declaration abstract_class_declaration variable_declarator".split())
TRANSPARENT = frozenset(
    "parenthesized_expression await_expression as_expression satisfies_expression non_null_expression "
    "type_assertion expression_statement".split()
)


def read_javascript(source: str, suffix: str) -> tuple[Program, int]:
    """The program, and the line of the first error of syntax, 0 without one."""
    root = _parser(_grammar(suffix)).parse(source.encode()).root_node
    reader = _Reader()
    reader.children(root, Scope(), 0)
    return reader.program, _first_error(root) if root.has_error else 0


def _grammar(suffix: str) -> str:
    return {".ts": "typescript", ".mts": "typescript", ".cts": "typescript", ".tsx": "tsx"}.get(suffix, "javascript")


@cache
def _parser(grammar: str) -> "Parser":
    import tree_sitter

    if grammar == "javascript":
        import tree_sitter_javascript

        language = tree_sitter_javascript.language()
    else:
        import tree_sitter_typescript

        language = (
            tree_sitter_typescript.language_tsx() if grammar == "tsx" else tree_sitter_typescript.language_typescript()
        )
    return tree_sitter.Parser(tree_sitter.Language(language))


def _first_error(root: "Node") -> int:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            return int(node.start_point[0]) + 1
        waiting += [child for child in reversed(node.children) if child.has_error or child.is_missing]
    return 1


class _Reader:
    """Visits every node once, and keeps what a detector may ask for."""

    def __init__(self) -> None:
        self.program = Program()

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
            self.program.texts.append(Text(_line(node), _text(node), Place.PROSE))
        else:
            self.value(node, scope, depth)

    def imported(self, node: "Node", scope: Scope) -> None:
        source = node.child_by_field_name("source")
        module = _string(source) if source is not None else ""
        names = [child for child in node.named_children if child.type == "import_clause"]
        bound = [(symbol, local) for clause in names for symbol, local in _import_names(clause)]
        if not module:
            self.required_as(node, scope)
            return
        for symbol, local in bound or [("", "")]:
            self.program.imports.append(Import(_line(node), module, symbol))
            if local:
                scope.bind(local, Imported(_line(node), module, symbol))

    def required_as(self, node: "Node", scope: Scope) -> None:
        """`import openai = require("openai")`."""
        for clause in node.named_children:
            source = clause.child_by_field_name("source")
            if clause.type == "import_require_clause" and source is not None:
                self.program.imports.append(Import(_line(node), _string(source)))
                scope.bind(_text(clause.named_children[0]), Imported(_line(node), _string(source), ""))

    def reexported(self, node: "Node") -> None:
        source = node.child_by_field_name("source")
        if source is not None:
            self.program.imports.append(Import(_line(node), _string(source)))

    def declared(self, node: "Node", scope: Scope, depth: int) -> None:
        name, given = node.child_by_field_name("name"), node.child_by_field_name("value")
        value = self.value(given, scope, depth + 1) if given is not None else Unknown(_line(node))
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
                self.bind(child, items[index] if index < len(items) else Unknown(_line(child)), scope, depth)
        elif target.type == "assignment_pattern":
            left, right = target.child_by_field_name("left"), target.child_by_field_name("right")
            if left is not None and right is not None:
                self.bind(left, self.value(right, scope, depth + 1), scope, depth)
        elif path := _path(target):
            self.assigned(path, value, scope)

    def assigned(self, path: Path, value: Value, scope: Scope) -> None:
        room = _room(path, scope)
        room.bind(".".join(path), value)
        if len(path) > 1:
            # `parameters.tools = …` adds to a record.
            record = Record(value.line, (Item(path[-1], value.line, value),))
            _room(path[:-1], scope).bind(".".join(path[:-1]), record)
            self.program.records.append(Noted(record, scope))

    def destructured(self, target: "Node", value: Value, scope: Scope, depth: int) -> None:
        """`const { OpenAI, model = "gpt-4o" } = …`."""
        for child in target.named_children:
            key, default = _destructured(child)
            if not key:
                continue
            bound: list[Value] = []
            if isinstance(value, Imported):
                bound.append(Imported(value.line, value.module, key[0]))
                self.program.imports.append(Import(value.line, value.module, key[0]))
            elif isinstance(value, Name):
                if value.path[-1] == "env":
                    self.program.texts.append(Text(_line(child), key[0]))
                bound.append(Name(_line(child), (*value.path, key[0])))
            if default is not None:
                bound.append(self.value(default, scope, depth + 1))
            for each in bound or [Unknown(_line(child))]:
                scope.bind(key[1], each)

    def annotate(self, holder: "Node", name: "Node", scope: Scope) -> None:
        annotation = holder.child_by_field_name("type")
        path = _path(name)
        if annotation is not None and path:
            for each in annotation.named_children:
                if each.type in ("type_identifier", "nested_type_identifier"):
                    _room(path, scope).types[".".join(path)] = tuple(_text(each).split("."))
                else:
                    self.children(each, scope, 1)

    def class_(self, node: "Node", scope: Scope, depth: int) -> None:
        inner = Scope(scope, is_class=True)
        if name := node.child_by_field_name("name"):
            scope.classes[_text(name)] = inner
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
            scope.bind(f"self.{_text(name)}", value)
            scope.bind(_text(name), value)

    def annotate_field(self, node: "Node", name: "Node", scope: Scope) -> None:
        annotation = node.child_by_field_name("type")
        for each in annotation.named_children if annotation is not None else ():
            if each.type in ("type_identifier", "nested_type_identifier"):
                scope.types[f"self.{_text(name)}"] = tuple(_text(each).split("."))
            else:
                self.children(each, scope, 1)

    def function(self, node: "Node", scope: Scope, depth: int) -> None:
        inner = Scope(scope)
        inner.bind("return", Unknown(_line(node)))
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
            self.bind_results(_text(name), inner, scope)

    def bind_results(self, name: str, inner: Scope, scope: Scope) -> None:
        """What a function gives back, under `name()`."""
        for value in inner.bindings["return"][1:]:
            scope.bind(f"{name}()", Within(value.line, value, inner))
            if scope.is_class:
                scope.bind(f"self.{name}()", Within(value.line, value, inner))

    def parameter(self, node: "Node", inner: Scope, outer: Scope, depth: int) -> None:
        if node.type in ("required_parameter", "optional_parameter"):
            name, given = node.child_by_field_name("pattern"), node.child_by_field_name("value")
            value = self.value(given, outer, depth + 1) if given is not None else Unknown(_line(node))
            if name is None:
                return
            self.annotate(node, name, inner)
            self.bind(name, value, inner, depth)
            if inner.parent is not None and inner.parent.is_class and node.child(0) is not name and _path(name):
                # `constructor(private client: OpenAI)` is a field as well.
                inner.parent.types |= {f"self.{key}": path for key, path in inner.types.items()}
        else:
            self.bind(node, Unknown(_line(node)), inner, depth)

    def returned(self, node: "Node", scope: Scope, depth: int) -> None:
        for child in node.named_children:
            value = self.value(child, scope, depth + 1)
            room: Scope | None = scope
            while room is not None and "return" not in room.bindings:
                room = room.parent
            if room is not None:
                room.bind("return", value)

    def value(self, node: "Node", scope: Scope, depth: int) -> Value:
        if depth > DEEPEST:
            return Unknown(_line(node))
        kind = node.type
        if kind in TRANSPARENT:
            return self.wrapped(node, scope, depth)
        if kind == "string":
            text = _string(node)
            self.program.texts.append(Text(_line(node), text))
            return Constant(_line(node), text)
        if kind == "template_string":
            return self.template(node, scope, depth)
        if kind in ("true", "false", "null", "undefined", "number"):
            return Constant(_line(node), {"true": True, "false": False}.get(kind, None if kind != "number" else 1))
        if kind in ("identifier", "this", "member_expression", "subscript_expression"):
            return self.reference(node, scope, depth)
        if kind == "object":
            return self.record(node, scope, depth)
        if kind == "array":
            return Several(_line(node), tuple(self.value(each, scope, depth + 1) for each in node.named_children))
        if kind in ("call_expression", "new_expression"):
            return self.call(node, scope, depth)
        if kind in ("binary_expression", "ternary_expression"):
            return self.combined(node, scope, depth)
        if kind == "assignment_expression":
            return self.assignment(node, scope, depth)
        if kind in FUNCTIONS:
            self.function(node, scope, depth)
            return Unknown(_line(node))
        if kind in VISITED:
            self.visit(node, scope, depth + 1)
            return Unknown(_line(node))
        self.children(node, scope, depth + 1)
        return Unknown(_line(node))

    def wrapped(self, node: "Node", scope: Scope, depth: int) -> Value:
        inside = [child for child in node.named_children if child.type != "comment"]
        for child in inside[1:]:
            self.visit(child, scope, depth + 1)
        return self.value(inside[0], scope, depth + 1) if inside else Unknown(_line(node))

    def template(self, node: "Node", scope: Scope, depth: int) -> Value:
        parts: list[Value] = []
        for child in node.named_children:
            if child.type == "template_substitution":
                inside = child.named_children
                parts.append(self.value(inside[0], scope, depth + 1) if inside else Unknown(_line(child)))
            else:
                parts.append(Constant(_line(child), _text(child)))
        if len(parts) == 1 and isinstance(parts[0], Constant):
            self.program.texts.append(Text(_line(node), str(parts[0].value)))
            return Constant(_line(node), parts[0].value)
        for part in parts:
            if isinstance(part, Constant) and isinstance(part.value, str):
                self.program.texts.append(Text(part.line, part.value, Place.PART))
        return self.joined(Joined(_line(node), tuple(parts)), scope)

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
        path = _path(node)
        if len(path) > 2 and path[-2] == "env":
            self.program.texts.append(Text(_line(node), path[-1]))
        return Name(_line(node), path) if path else Unknown(_line(node))

    def record(self, node: "Node", scope: Scope, depth: int) -> Record:
        items: list[Item] = []
        spreads: list[Value] = []
        for child in node.named_children:
            if child.type == "pair":
                key, given = child.child_by_field_name("key"), child.child_by_field_name("value")
                if key is None or given is None:
                    continue
                self.program.texts.append(Text(_line(key), _string(key) if key.type == "string" else _text(key)))
                name = _string(key) if key.type == "string" else _text(key)
                items.append(Item(name, _line(child), self.value(given, scope, depth + 1)))
            elif child.type == "shorthand_property_identifier":
                items.append(Item(_text(child), _line(child), Name(_line(child), (_text(child),))))
            elif child.type == "spread_element" and child.named_children:
                spreads.append(self.value(child.named_children[0], scope, depth + 1))
            else:
                self.visit(child, scope, depth + 1)
        record = Record(_line(node), tuple(items), tuple(spreads))
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
            return Unknown(_line(node))
        arguments = tuple(self.value(each, scope, depth + 1) for each in listed)
        if callee is not None and (module := _required(callee, arguments)):
            self.program.imports.append(Import(_line(node), module))
            return Imported(_line(node), module, "")
        path = _path(callee) if callee is not None else ()
        if not path:
            return Unknown(_line(node))
        if path in (("Object", "assign"), ("JSON", "stringify")):
            return Record(_line(node), (), arguments if path[0] == "Object" else arguments[:1])
        if len(arguments) == 1 and path[-1] in INTEROP:
            return arguments[0]
        keywords = Record(_line(node), (), tuple(each for each in arguments if isinstance(each, Record | Name)))
        call = Call(_line(node), path, arguments, keywords, node.type == "new_expression")
        self.program.calls.append(Used(call, scope))
        return call

    def combined(self, node: "Node", scope: Scope, depth: int) -> Value:
        """`a || b`, `a ?? b`, `a ? b : c`, `a + b`; of `a && b` what comes last."""
        operator = node.child_by_field_name("operator")
        sign = _text(operator) if operator is not None else "?"
        values = tuple(self.value(each, scope, depth + 1) for each in node.named_children if each.type != "comment")
        if sign == "+":
            return self.joined(Joined(_line(node), values), scope)
        if sign in ("||", "??"):
            return Choice(_line(node), values)
        return Choice(_line(node), values[1:]) if sign in ("?", "&&") else Unknown(_line(node))

    def assignment(self, node: "Node", scope: Scope, depth: int) -> Value:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if left is None or right is None:
            return Unknown(_line(node))
        value = self.value(right, scope, depth + 1)
        if left.type in ("subscript_expression", "member_expression"):
            self.reference(left, scope, depth)
        self.bind(left, value, scope, depth)
        return value


INTEROP = frozenset({"__importDefault", "__importStar", "_interopRequireDefault", "_interopRequireWildcard", "__toESM"})
"""What compilers wrap around `require`."""


def _required(callee: "Node", arguments: tuple[Value, ...]) -> str:
    """The module of `require("…")` and `import("…")`."""
    first = arguments[0] if arguments else None
    if not isinstance(first, Constant) or not isinstance(first.value, str):
        return ""
    return first.value if callee.type == "import" or _text(callee) in ("require", "__require") else ""


def _import_names(clause: "Node") -> Iterable[tuple[str, str]]:
    for child in clause.named_children:
        if child.type == "identifier":
            yield "default", _text(child)
        elif child.type == "namespace_import":
            yield "", _text(child.named_children[-1])
        elif child.type == "named_imports":
            for each in child.named_children:
                if each.type != "import_specifier":
                    continue
                name, alias = each.child_by_field_name("name"), each.child_by_field_name("alias")
                if name is not None:
                    yield _text(name), _text(alias if alias is not None else name)


def _destructured(node: "Node") -> tuple[tuple[str, str], "Node | None"] | tuple[tuple[()], None]:
    """Key and local name, and the default."""
    if node.type == "shorthand_property_identifier_pattern":
        return (_text(node), _text(node)), None
    if node.type == "object_assignment_pattern":
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        return ((_text(left), _text(left)), right) if left is not None else ((), None)
    if node.type == "pair_pattern":
        key, value = node.child_by_field_name("key"), node.child_by_field_name("value")
        if key is None or value is None:
            return (), None
        if value.type == "assignment_pattern":
            left, right = value.child_by_field_name("left"), value.child_by_field_name("right")
            return ((_text(key), _text(left)), right) if left is not None else ((), None)
        if value.type == "identifier":
            return (_text(key), _text(value)), None
    return (), None


def _path(node: "Node") -> Path:
    """Empty where it is no reference."""
    steps: list[str] = []
    while True:
        kind = node.type
        if kind in ("identifier", "this"):
            steps.append("self" if kind == "this" else _text(node))
            return tuple(reversed(steps))
        if kind in ("member_expression", "subscript_expression", "call_expression", "new_expression"):
            step, inner = _step(node)
            if step == "()":
                if inner is None:
                    return ()
                called = _path(inner)
                return (*called[:-1], f"{called[-1]}()", *reversed(steps)) if called else ()
            steps.append(step)
        elif kind in TRANSPARENT and node.named_children:
            inner = node.named_children[0]
        else:
            return ()
        if inner is None:
            return ()
        node = inner


def _step(node: "Node") -> tuple[str, "Node | None"]:
    if node.type == "member_expression":
        name = node.child_by_field_name("property")
        return _text(name) if name is not None else "[]", node.child_by_field_name("object")
    if node.type == "subscript_expression":
        index = node.child_by_field_name("index")
        name = _string(index) if index is not None and index.type == "string" else "[]"
        return name, node.child_by_field_name("object")
    return "()", node.child_by_field_name("function") or node.child_by_field_name("constructor")


def _room(path: Path, scope: Scope) -> Scope:
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


def _line(node: "Node") -> int:
    return int(node.start_point[0]) + 1


def _text(node: "Node") -> str:
    return node.text.decode(errors="replace") if node.text is not None else ""


def _string(node: "Node") -> str:
    """The content of a string node, its escapes as they are written."""
    return "".join(_text(child) for child in node.named_children)
