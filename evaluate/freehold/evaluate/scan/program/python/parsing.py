"""Python's own parser and tokenizer."""

import ast
import io
import tokenize
import warnings
from collections.abc import Iterable

from freehold.evaluate.scan.program.program import Place, Program, Text
from freehold.evaluate.scan.program.python.statements import Statements
from freehold.evaluate.scan.program.values import Scope


def read_python(source: str) -> Program:
    """Raises SyntaxError, ValueError or RecursionError where Python itself cannot read it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of the code that is read: bad escapes and the like.
        tree = ast.parse(source)
    reader = Statements()
    reader.block(tree.body, Scope())
    reader.program.texts += _comments(source)
    return reader.program


def _comments(source: str) -> Iterable[Text]:
    if "#" not in source:
        return
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield Text(token.start[0], token.string, Place.PROSE)
    except (tokenize.TokenError, SyntaxError):
        return
