"""Expressions of Python, in the form of every language."""

import ast
from abc import ABC, abstractmethod

from freehold.evaluate.scan.program.program import Noted, Place, Program, Text, Used
from freehold.evaluate.scan.program.python.nodes import path_of, room_of
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
    Several,
    Unknown,
    Value,
)


class Expressions(ABC):
    """Visits every node once, and keeps what a detector may ask for."""

    def __init__(self) -> None:
        self.program = Program()

    @abstractmethod
    def children(self, node: ast.AST, scope: Scope) -> None:
        """Those of a node that says nothing itself."""

    @abstractmethod
    def parameters(self, arguments: ast.arguments, inner: Scope, outer: Scope) -> None:
        """Of a function."""

    @abstractmethod
    def assign(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Names that get a value."""

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
                named = self.value(node.value, scope)
                self.assign(node.target, named, scope)
                return named
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
        path = path_of(node)
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
        path = path_of(node.func, keyed=False)
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
                room_of(path, scope).bind(".".join(path), record)
