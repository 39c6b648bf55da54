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


@dataclass(frozen=True)
class Count:
    """Of all votes."""

    votes: int
    tallies: list[Tally]
    """By model, the one with the largest share of wins first."""


def counted(votes: Iterable[Vote]) -> Count:
    """One pass over the votes; none is kept, since they may hold images."""
    found: dict[str, Tally] = {}
    number = 0
    for vote in votes:
        number += 1
        for choice in vote.choices:
            tally = found.setdefault(choice.model, Tally(choice.model))
            tally.shown += 1
            tally.won += vote.best == choice.model
            tally.tied += vote.verdict == "tie"
            tally.lost += vote.verdict != "tie" and vote.best != choice.model
    ranked = sorted(found.values(), key=lambda tally: (-tally.won / tally.shown, tally.model))
    return Count(number, ranked)
