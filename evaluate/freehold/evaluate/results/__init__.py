"""What an evaluation leaves behind: a line per answer, which the statistics and the report read."""

from freehold.evaluate.results.record import Answered, Outcome, Score, Usage

__all__ = ["Answered", "Outcome", "Score", "Usage"]
