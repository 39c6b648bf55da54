"""How each kind of file is read: one reader a file, and which file is whose."""

from freehold.evaluate.scan.readers.reader import Reader, Reading
from freehold.evaluate.scan.readers.registry import reader_of

__all__ = ["Reader", "Reading", "reader_of"]
