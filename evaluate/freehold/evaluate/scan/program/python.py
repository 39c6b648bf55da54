"""Read Python by its own parser."""

import ast
import io
import tokenize
import warnings
from collections.abc import Iterable

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

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def read_python(source: str) -> Program:
    """Raises SyntaxError, ValueError or RecursionError where Python itself cannot read it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of the code that is read: bad escapes and the like.
        tree = ast.parse(source)
    reader = _Reader()
    reader.block(tree.body, Scope())
    reader.program.texts += _comments(source)
    return reader.program


def _comments(source: str) -> Iterable[Text]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield Text(token.start[0], token.string, Place.PROSE)
    except (tokenize.TokenError, SyntaxError):
        return


class _Reader:
    """Visits every node once, and keeps what a detector may ask for."""

    def __init__(self) -> None:
        self.program = Program()

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
                self.annotate(_path(node.target), node.annotation, scope)
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
        if path := _path(node):
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
            inner.bind(argument.arg, self.value(defaults[argument], outer) if argument in defaults else Unknown(0))
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
        for name in _named_types(annotation):
            _room(path, scope).types[".".join(path)] = name
        if not again:
            self.value(annotation, scope)

    def assign(self, target: ast.expr, value: Value, scope: Scope) -> None:
        match target:
            case ast.Name() | ast.Attribute():
                if path := _path(target):
                    _room(path, scope).bind(".".join(path), value)
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

    def value(self, node: ast.expr, scope: Scope) -> Value:
        match node:
            case ast.Constant(value=str(text)):
                self.program.texts.append(Text(node.lineno, text))
                return Constant(node.lineno, text)
            case ast.Constant(value=None | bool() | int() | float() as value):
                return Constant(node.lineno, value)
            case ast.JoinedStr():
                return self.joined(node, scope)
            case ast.BinOp(op=ast.Add()):
                return self.together(node.lineno, (self.value(node.left, scope), self.value(node.right, scope)), scope)
            case ast.BinOp(op=ast.BitOr(), left=ast.Dict() | ast.Name(), right=ast.Dict() | ast.Name()):
                return Record(node.lineno, (), (self.value(node.left, scope), self.value(node.right, scope)))
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return self.reference(node, scope)
            case ast.Dict():
                return self.record(node, scope)
            case ast.List() | ast.Tuple() | ast.Set():
                return Several(node.lineno, tuple(self.value(each, scope) for each in node.elts))
            case ast.BoolOp():
                return Choice(node.lineno, tuple(self.value(each, scope) for each in node.values))
            case ast.IfExp():
                self.value(node.test, scope)
                return Choice(node.lineno, (self.value(node.body, scope), self.value(node.orelse, scope)))
            case ast.Call():
                return self.call(node, scope)
            case ast.Await():
                return self.value(node.value, scope)
            case ast.NamedExpr():
                value = self.value(node.value, scope)
                self.assign(node.target, value, scope)
                return value
            case ast.Lambda():
                inner = Scope(scope)
                self.parameters(node.args, inner, scope)
                self.value(node.body, inner)
                return Unknown(node.lineno)
            case _:
                self.children(node, scope)
                return Unknown(node.lineno)

    def joined(self, node: ast.JoinedStr, scope: Scope) -> Value:
        parts: list[Value] = []
        for part in node.values:
            if isinstance(part, ast.Constant):
                self.program.texts.append(Text(part.lineno, str(part.value), Place.PART))
                parts.append(Constant(part.lineno, str(part.value)))
            elif isinstance(part, ast.FormattedValue):
                parts.append(self.value(part.value, scope))
        return self.together(node.lineno, tuple(parts), scope)

    def together(self, line: int, parts: tuple[Value, ...], scope: Scope) -> Joined:
        value = Joined(line, parts)
        self.program.joined.append((value, scope))
        return value

    def reference(self, node: ast.expr, scope: Scope) -> Value:
        if isinstance(node, ast.Subscript):
            self.value(node.slice, scope)
        if isinstance(node, ast.Attribute | ast.Subscript):
            self.reference(node.value, scope)
        elif not isinstance(node, ast.Name):
            self.value(node, scope)
        path = _path(node)
        return Name(node.lineno, path) if path else Unknown(node.lineno)

    def record(self, node: ast.Dict, scope: Scope) -> Record:
        items, spreads = [], []
        for key, each in zip(node.keys, node.values, strict=True):
            if key is not None:
                self.value(key, scope)
            value = self.value(each, scope)
            if key is None:
                spreads.append(value)
            elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                items.append(Item(key.value, key.lineno, value))
        record = Record(node.lineno, tuple(items), tuple(spreads))
        self.program.records.append(Noted(record, scope))
        return record

    def call(self, node: ast.Call, scope: Scope) -> Value:
        self.reference(node.func, scope)
        arguments = tuple(self.value(each, scope) for each in node.args)
        items, spreads = [], []
        for keyword in node.keywords:
            value = self.value(keyword.value, scope)
            if keyword.arg is None:
                spreads.append(value)
            else:
                items.append(Item(keyword.arg, keyword.lineno, value))
        keywords = Record(node.lineno, tuple(items), tuple(spreads))
        path = _path(node.func)
        call = Call(node.lineno, path, arguments, keywords)
        if path:
            self.program.calls.append(Used(call, scope))
            if path[-1] == "update" and len(path) > 1:
                self.updated(path[:-1], call, scope)
        if not path:
            return Unknown(node.lineno)
        return keywords if path == ("dict",) else call

    def updated(self, path: Path, call: Call, scope: Scope) -> None:
        """`parameters.update(…)` adds to a record."""
        given = [each for each in call.arguments if isinstance(each, Record)]
        for record in (*given, call.keywords):
            if record.items:
                _room(path, scope).bind(".".join(path), record)


def _room(path: Path, scope: Scope) -> Scope:
    """The scope that keeps a name: for `self.x` that of the class."""
    if len(path) > 1 and path[0] in ("self", "cls"):
        room: Scope | None = scope
        while room is not None and not room.is_class:
            room = room.parent
        return room or scope
    return scope


def _path(node: ast.expr) -> Path:
    """Empty where it is no reference."""
    steps: list[str] = []
    while True:
        match node:
            case ast.Attribute():
                steps.append(node.attr)
                node = node.value
            case ast.Subscript(slice=ast.Constant(value=str(key))):
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


def _named_types(annotation: ast.expr) -> Iterable[Path]:
    match annotation:
        case ast.Name() | ast.Attribute():
            if path := _path(annotation):
                yield path
        case ast.BinOp(op=ast.BitOr()):
            yield from _named_types(annotation.right)
            yield from _named_types(annotation.left)
        case ast.Subscript(value=ast.Name() | ast.Attribute() as outer, slice=inner):
            if _path(outer)[-1:] in (("Optional",), ("Annotated",), ("Union",)):
                yield from _named_types(inner)
        case ast.Tuple():
            for each in annotation.elts:
                yield from _named_types(each)
        case ast.Constant(value=str(text)):
            try:
                yield from _named_types(ast.parse(text, mode="eval").body)
            except (SyntaxError, ValueError):
                return
        case _:
            return
