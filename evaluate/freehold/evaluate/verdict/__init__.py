"""From numbers to a decision in words: replace, replace for these slices, or hold."""

from freehold.evaluate.verdict.judging import Decision, Judgement, judge

__all__ = ["Decision", "Judgement", "judge"]
