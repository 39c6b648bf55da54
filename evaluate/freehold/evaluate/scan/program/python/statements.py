"""Statements of Python: imports, assignments, classes, functions, and what names are bound to."""

import ast
from collections.abc import Iterable

from freehold.evaluate.scan.program.program import Import, Noted, Place, Text
from freehold.evaluate.scan.program.python.expressions import Expressions
from freehold.evaluate.scan.program.python.nodes import named_types, path_of, room_of
from freehold.evaluate.scan.program.values import (
    Choice,
    Imported,
    Item,
    Path,
    Record,
    Scope,
    Several,
    Unknown,
    Value,
    Within,
)


class Statements(Expressions):
    """Visits a program from its top."""

    def block(self, body: Iterable[ast.stmt], scope: Scope) -> None:
        for statement in body:
            self.statement(statement, scope)

    def statement(self, node: ast.stmt, scope: Scope) -> None:
        match node:
            case ast.Import() | ast.ImportFrom():
                self.imported(node, scope)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.function(node, scope)
            case ast.ClassDef():
                self.class_(node, scope)
            case ast.Expr(value=ast.Constant(value=str(text))):
                self.program.texts.append(Text(node.lineno, text, Place.PROSE))
            case ast.Assign():
                value = self.value(node.value, scope)
                for target in node.targets:
                    self.assign(target, value, scope)
            case ast.AnnAssign():
                if scope.is_class and isinstance(node.target, ast.Name) and node.target.id.isupper():
                    # A field of settings that are read from the environment.
                    self.program.texts.append(Text(node.lineno, node.target.id))
                self.annotate(path_of(node.target), node.annotation, scope)
                if node.value is not None:
                    self.assign(node.target, self.value(node.value, scope), scope)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    value = self.value(item.context_expr, scope)
                    if item.optional_vars is not None:
                        self.assign(item.optional_vars, value, scope)
                self.block(node.body, scope)
            case ast.Return():
                if node.value is not None:
                    self.returned(self.value(node.value, scope), scope)
            case ast.For() | ast.AsyncFor():
                self.looped(node, scope)
            case _:
                self.children(node, scope)

    def looped(self, node: ast.For | ast.AsyncFor, scope: Scope) -> None:
        looped = self.value(node.iter, scope)
        if isinstance(looped, Several):
            self.assign(node.target, Choice(node.lineno, looped.items), scope)
        self.block([*node.body, *node.orelse], scope)

    def children(self, node: ast.AST, scope: Scope) -> None:
        """Those of a node that says nothing itself."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                self.statement(child, scope)
            elif isinstance(child, ast.expr):
                self.value(child, scope)
            else:
                self.children(child, scope)

    def imported(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.program.imports.append(Import(node.lineno, alias.name))
                bound = alias.name if alias.asname else alias.name.split(".")[0]
                scope.bind(alias.asname or bound, Imported(node.lineno, bound, ""))
            return
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            self.program.imports.append(Import(node.lineno, module, alias.name))
            scope.bind(alias.asname or alias.name, Imported(node.lineno, module, alias.name))

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
        for decorator in node.decorator_list:
            self.decorated(decorator, scope)
        inner = Scope(scope)
        self.parameters(node.args, inner, scope)
        if node.returns is not None:
            self.annotate((f"{node.name}()",), node.returns, scope)
            if scope.is_class:
                self.annotate(("self", f"{node.name}()"), node.returns, scope, again=True)
                self.annotate(("self", node.name), node.returns, scope, again=True)
        inner.bind("return", Unknown(node.lineno))
        self.block(node.body, inner)
        for name in (f"{node.name}()", *((f"self.{node.name}()", f"self.{node.name}") if scope.is_class else ())):
            for value in inner.bindings["return"][1:]:
                scope.bind(name, Within(value.line, value, inner))

    def decorated(self, node: ast.expr, scope: Scope) -> None:
        if path := path_of(node):
            self.program.decorators.append((node.lineno, path, scope))
        self.value(node, scope)

    def returned(self, value: Value, scope: Scope) -> None:
        if "return" in scope.bindings:
            scope.bind("return", value)

    def parameters(self, arguments: ast.arguments, inner: Scope, outer: Scope) -> None:
        positional = [*arguments.posonlyargs, *arguments.args]
        defaults = dict(zip(reversed(positional), reversed(arguments.defaults), strict=False))
        defaults |= {a: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None}
        for argument in (*positional, *arguments.kwonlyargs):
            # Whoever calls may give something else.
            inner.bind(argument.arg, Unknown(argument.lineno))
            if argument in defaults:
                inner.bind(argument.arg, self.value(defaults[argument], outer))
            if argument.annotation is not None:
                self.annotate((argument.arg,), argument.annotation, inner)
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                inner.bind(rest.arg, Unknown(0))

    def class_(self, node: ast.ClassDef, scope: Scope) -> None:
        for decorator in node.decorator_list:
            self.decorated(decorator, scope)
        inner = Scope(scope, is_class=True)
        scope.classes[node.name] = inner
        for base in node.bases:
            self.value(base, scope)
        for keyword in node.keywords:
            self.value(keyword.value, scope)
        self.block(node.body, inner)

    def annotate(self, path: Path, annotation: ast.expr, scope: Scope, *, again: bool = False) -> None:
        """Note a name's type: of `OpenAI | None` and `Optional[OpenAI]` the class."""
        for name in named_types(annotation):
            room_of(path, scope).types[".".join(path)] = name
        if not again:
            self.value(annotation, scope)

    def assign(self, target: ast.expr, value: Value, scope: Scope) -> None:
        match target:
            case ast.Name() | ast.Attribute():
                if path := path_of(target):
                    room = room_of(path, scope)
                    room.bind(".".join(path), value if room is scope else Within(value.line, value, scope))
                    if scope.is_class and len(path) == 1:
                        scope.bind(f"self.{path[0]}", value)
            case ast.Tuple() | ast.List():
                items = value.items if isinstance(value, Several) and len(value.items) == len(target.elts) else ()
                for index, each in enumerate(target.elts):
                    self.assign(each, items[index] if items else Unknown(target.lineno), scope)
            case ast.Subscript(value=holder, slice=ast.Constant(value=str(key))):
                item = Record(target.lineno, (Item(key, target.lineno, value),))
                self.program.records.append(Noted(item, scope))
                self.assign(holder, item, scope)
            case _:
                self.children(target, scope)
