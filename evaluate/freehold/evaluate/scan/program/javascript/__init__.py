"""JavaScript and TypeScript, read with tree-sitter's grammars, which go on after an error."""

from freehold.evaluate.scan.program.javascript.parsing import read_javascript

__all__ = ["read_javascript"]
