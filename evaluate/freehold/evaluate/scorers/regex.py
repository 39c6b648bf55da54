"""`regex`: the answer matches a pattern."""

import re
from typing import Literal

from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.results.record import Score
from freehold.evaluate.scorers.extracting import Pattern
from freehold.evaluate.scorers.scorer import Ask, Sample, Scorer, verdict


class Regex(Scorer):
    """Python's `re`; the pattern may match anywhere unless it is to match the whole."""

    kind: Literal["regex"]
    pattern: Pattern | None = None
    """The same for all prompts; none means that each prompt's `expected` is its pattern."""
    whole: bool = False
    """The pattern must match the whole answer, spaces at both ends aside."""
    absent: bool = False
    """The answer is right if it does *not* match."""

    def lack(self, prompt: Prompt) -> str:
        if self.pattern is not None:
            return ""
        if not isinstance(prompt.expected, str) or not prompt.expected:
            return "expected must be a regular expression, or the scorer needs a pattern"
        try:
            re.compile(prompt.expected)
        except re.error as error:
            return f"expected is no regular expression: {error}"
        return ""

    async def score(self, sample: Sample, ask: Ask) -> Score:
        pattern = self.pattern if self.pattern is not None else str(sample.prompt.expected)
        text = sample.reply.text
        found = re.fullmatch(pattern, text.strip()) if self.whole else re.search(pattern, text)
        wanted = f"no match of {pattern}" if self.absent else f"a match of {pattern}"
        return verdict(bool(found) is not self.absent, wanted, text or "(no text)")
