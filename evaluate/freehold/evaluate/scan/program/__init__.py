"""Source files of every language in one form: imports, calls, records, texts, and what names are bound to."""

from freehold.evaluate.scan.program.program import Import, Noted, Place, Program, Text, Used

__all__ = ["Import", "Noted", "Place", "Program", "Text", "Used"]
