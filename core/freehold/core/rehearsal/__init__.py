"""Rehearsals: a private `freehold serve` for the length of a block, so that a gate sees what clients would see."""

from freehold.core.rehearsal.rehearsal import Rehearsal, rehearse

__all__ = ["Rehearsal", "rehearse"]
