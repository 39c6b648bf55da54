"""Python, read by its own parser."""

from freehold.evaluate.scan.program.python.parsing import read_python

__all__ = ["read_python"]
