"""`similarity`: how near the answer's meaning is to the expected text's, by an embedding model."""

import math
from typing import Any, Literal

from pydantic import Field

from freehold.core.errors import RemoteError
from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.results.record import Score
from freehold.evaluate.scorers.scorer import Ask, Extra, Sample, Scorer, shortened
from freehold.evaluate.targets.attempt import EMBEDDINGS
from freehold.evaluate.targets.endpoint import Endpoint
from freehold.evaluate.targets.reply import Reply


class Similarity(Scorer):
    """The cosine of two embeddings, 0 where it is negative; of several expected texts, the nearest counts."""

    kind: Literal["similarity"]
    endpoint: Endpoint
    """The embedding model (`/v1/embeddings`)."""
    threshold: float | None = Field(default=None, gt=0, le=1)
    """The score is 1 from this cosine on and 0 below; none means that the cosine is the score."""

    def lack(self, prompt: Prompt) -> str:
        texts = _texts(prompt)
        return "" if texts and all(text.strip() for text in texts) else "expected must be a text, or a list of texts"

    def extras(self, prompt: Prompt, answer_tokens: int, judge: Endpoint | None) -> list[Extra]:
        # Two bytes count as a token.
        inputs = ["  " * answer_tokens, *_texts(prompt)]
        return [Extra(self.endpoint, _body(self.endpoint, text)) for text in inputs]

    async def score(self, sample: Sample, ask: Ask) -> Score:
        if not sample.reply.text.strip():
            return Score(value=0, why="there is no text")
        came = await self._embedding(sample.reply.text, ask)
        cosines = [_cosine(came, await self._embedding(text, ask)) for text in _texts(sample.prompt)]
        nearest = max(cosines)
        why = f"cosine {nearest:.3f} with {shortened(_texts(sample.prompt)[cosines.index(nearest)])}"
        if self.threshold is None:
            return Score(value=round(min(1.0, max(0.0, nearest)), 6), why=why)
        return Score(value=float(nearest >= self.threshold), why=f"{why}; {self.threshold:g} is enough")

    async def _embedding(self, text: str, ask: Ask) -> list[float]:
        reply = await ask(_NAME, self.endpoint, EMBEDDINGS, _body(self.endpoint, text))
        return _vector(reply, self.endpoint)


_NAME = "embeddings"


def _texts(prompt: Prompt) -> list[str]:
    expected = prompt.expected if isinstance(prompt.expected, list) else [prompt.expected]
    return [text if isinstance(text, str) else "" for text in expected]


def _body(endpoint: Endpoint, text: str) -> dict[str, Any]:
    return {"model": endpoint.model, "input": text, "encoding_format": "float"}


def _vector(reply: Reply, endpoint: Endpoint) -> list[float]:
    vector = reply.body.get("embedding")
    if not isinstance(vector, list) or not vector or not all(isinstance(x, int | float) for x in vector):
        raise RemoteError(f"{endpoint.model} gave no embedding", why=reply.error or "its answer holds no numbers")
    return vector


def _cosine(first: list[float], second: list[float]) -> float:
    if len(first) != len(second):
        raise RemoteError("Two embeddings of one model differ in length", why=f"{len(first)} and {len(second)}")
    norms = math.hypot(*first) * math.hypot(*second)
    return math.fsum(a * b for a, b in zip(first, second, strict=True)) / norms if norms else 0.0
