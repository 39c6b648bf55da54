"""Which files of a folder are looked at: what git or .gitignore leave, less what is vendored, generated or no text."""

from freehold.evaluate.scan.tree.listing import Listing, list_files
from freehold.evaluate.scan.tree.reading import read_text

__all__ = ["Listing", "list_files", "read_text"]
