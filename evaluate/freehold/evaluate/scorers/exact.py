"""`exact`: the answer is the expected text, or one of several."""

from typing import Literal

from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.results.record import Score
from freehold.evaluate.scorers.extracting import Pattern, extracted
from freehold.evaluate.scorers.scorer import Ask, Sample, Scorer, verdict


class Exact(Scorer):
    """Compares text; spaces at both ends count for nothing."""

    kind: Literal["exact"]
    ignore_case: bool = False
    """`Paris` is `PARIS`."""
    ignore_punctuation: bool = False
    """Only letters, digits and single spaces between them count."""
    extract: Pattern | None = None
    """Compare the last match of this pattern, or its first group, in place of the whole answer."""

    def lack(self, prompt: Prompt) -> str:
        expected = prompt.expected
        texts = expected if isinstance(expected, list) else [expected]
        if texts and all(isinstance(text, str | int | float) for text in texts):
            return ""
        return "expected must be a text, or a list of texts of which any is right"

    async def score(self, sample: Sample, ask: Ask) -> Score:
        expected = sample.prompt.expected
        texts = expected if isinstance(expected, list) else [expected]
        came = extracted(self.extract, sample.reply.text)
        is_right = came is not None and self._bare(came) in {self._bare(str(text)) for text in texts}
        came = sample.reply.text if came is None else came
        return verdict(is_right, " or ".join(map(str, texts)), came or "(no text)")

    def _bare(self, text: str) -> str:
        if self.ignore_case:
            text = text.casefold()
        if self.ignore_punctuation:
            text = " ".join("".join(letter if letter.isalnum() else " " for letter in text).split())
        return text.strip()
