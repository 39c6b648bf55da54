"""How models did in votes."""

from collections.abc import Iterable
from dataclasses import dataclass

from freehold.serve.votes.vote import Vote


@dataclass
class Tally:
    """Of one model."""

    model: str
    shown: int = 0
    won: int = 0
    tied: int = 0
    lost: int = 0
    """Another was better, or none was good."""


def tallies(votes: Iterable[Vote]) -> list[Tally]:
    """By model, the one with the largest share of wins first."""
    found: dict[str, Tally] = {}
    for vote in votes:
        for choice in vote.choices:
            tally = found.setdefault(choice.model, Tally(choice.model))
            tally.shown += 1
            tally.won += vote.best == choice.model
            tally.tied += vote.verdict == "tie"
            tally.lost += vote.verdict != "tie" and vote.best != choice.model
    return sorted(found.values(), key=lambda tally: (-tally.won / tally.shown, tally.model))
