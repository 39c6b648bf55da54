"""`numeric`: a number of the answer is near the expected one."""

import math
import re
from typing import Literal

from pydantic import Field

from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.results.record import Score
from freehold.evaluate.scorers.extracting import Pattern, extracted
from freehold.evaluate.scorers.scorer import Ask, Sample, Scorer, verdict

_NUMBERS = {
    ".": re.compile(r"(?<![\w.,])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|(?<![\w.,])[-+−]?\.\d+"),
    ",": re.compile(r"(?<![\w.,])[-+−]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?(?:[eE][-+]?\d+)?|(?<![\w.,])[-+−]?,\d+"),
}


class Numeric(Scorer):
    """Right within the larger of two tolerances."""

    kind: Literal["numeric"]
    absolute: float = Field(default=0.0, ge=0)
    """Largest difference."""
    relative: float = Field(default=0.0, ge=0)
    """Largest difference, as a share of the expected number."""
    take: Literal["last", "first", "only"] = "last"
    """Which number of the answer counts; `only`: an answer with several is wrong."""
    decimal: Literal[".", ","] = "."
    """What stands before the decimals; the other one may separate thousands."""
    extract: Pattern | None = None
    """Look for the number in the last match of this pattern, or its first group, alone."""

    def lack(self, prompt: Prompt) -> str:
        return "" if _number(prompt.expected) is not None else "expected must be a number"

    async def score(self, sample: Sample, ask: Ask) -> Score:
        expected = _number(sample.prompt.expected)
        assert expected is not None, "`lack` has looked"
        found = self._numbers(extracted(self.extract, sample.reply.text) or "")
        if not found or (self.take == "only" and len(found) > 1):
            came = "several numbers" if found else "no number"
            return verdict(False, f"{expected:.15g}", f"{came}: {sample.reply.text or '(no text)'}")
        came_number = found[0] if self.take == "first" else found[-1]
        # A hair's breadth for the decimal that no float is: 0.1 from 0.3 is 0.2.
        allowed = max(self.absolute, self.relative * abs(expected)) * (1 + 1e-9)
        is_right = math.isclose(came_number, expected, rel_tol=1e-12, abs_tol=allowed)
        return verdict(is_right, f"{expected:.15g}", f"{came_number:.15g}")

    def _numbers(self, text: str) -> list[float]:
        thousands = "," if self.decimal == "." else "."
        read = [found[0].replace("−", "-") for found in _NUMBERS[self.decimal].finditer(text)]
        return [float(number.replace(thousands, "").replace(self.decimal, ".")) for number in read]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
