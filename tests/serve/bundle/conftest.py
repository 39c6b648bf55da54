"""Both sides of the wall, and a folder that is all that pip may look at."""

from fixtures.bundles import inside, outside
from fixtures.wheels import wheelhouse

__all__ = ["inside", "outside", "wheelhouse"]
