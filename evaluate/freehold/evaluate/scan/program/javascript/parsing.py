"""The parser of each dialect, and the errors of syntax that it met."""

from functools import cache
from typing import TYPE_CHECKING

from freehold.evaluate.scan.program.javascript.statements import Statements
from freehold.evaluate.scan.program.program import Program
from freehold.evaluate.scan.program.values import Scope

if TYPE_CHECKING:
    from tree_sitter import Node, Parser


def read_javascript(source: str, suffix: str) -> tuple[Program, int]:
    """The program, and the line of the first error of syntax, 0 without one."""
    root = _parser(_grammar(suffix)).parse(source.encode()).root_node
    reader = Statements()
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
