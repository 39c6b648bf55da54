"""What follows from an inventory: what the gateway does with it, which open models could take over, what to change."""

from freehold.evaluate.scan.conclude.candidates import Replacement, replacements
from freehold.evaluate.scan.conclude.changes import Change, changes
from freehold.evaluate.scan.conclude.conclusion import Conclusion, conclude
from freehold.evaluate.scan.conclude.supporting import Use, support_of, uses

__all__ = ["Change", "Conclusion", "Replacement", "Use", "changes", "conclude", "replacements", "support_of", "uses"]
