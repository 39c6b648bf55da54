"""A house with everything in it that a compliance page has to show."""

from fixtures.audited import house

__all__ = ["house"]
