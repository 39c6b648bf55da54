"""What a run may use at most, before it starts."""

from collections.abc import Sequence
from itertools import product
from typing import Any, Protocol

from freehold.core.errors import RefusedError
from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.running.spending import fits
from freehold.evaluate.scorers.scorer import Extra
from freehold.evaluate.suite.bodies import body_of
from freehold.evaluate.suite.suite import Suite
from freehold.evaluate.targets.amounts import Amount, at_most, longest_answer

SCORING = "(scoring)"
"""Whose share the judge's and the embeddings' is."""


class Known(Protocol):
    """What an earlier sitting leaves nothing to pay for."""

    def is_asked(self, name: str, body: dict[str, Any], sample: int) -> bool:
        """Whether the target's answer is there."""
        ...

    def is_scored(self, prompt: Prompt, sample: int, name: str) -> bool:
        """Whether its scores are."""
        ...


class Nothing:
    """Satisfies `Known`, for a run that has not begun."""

    def is_asked(self, name: str, body: dict[str, Any], sample: int) -> bool:
        return False

    def is_scored(self, prompt: Prompt, sample: int, name: str) -> bool:
        return False


def estimate(suite: Suite, prompts: Sequence[Prompt], known: Known | None = None) -> dict[str, Amount]:
    """By target, and for scoring. An answer without `maxTokens` counts nothing: nobody knows how long it gets."""
    known = known or Nothing()
    found = {name: Amount() for name in suite.targets}
    scoring = Amount()
    for prompt, sample, name in product(prompts, range(suite.samples), suite.targets):
        body = body_of(suite, suite.targets[name], prompt, sample)
        if not known.is_asked(name, body, sample):
            found[name] += at_most(body, suite.targets[name].prices)
        if not known.is_scored(prompt, sample, name):
            for extra in _extras(suite, prompt, longest_answer(body) or 0):
                scoring += at_most(extra.body, extra.endpoint.prices)
    return found | ({SCORING: scoring} if scoring != Amount() else {})


def _extras(suite: Suite, prompt: Prompt, answer_tokens: int) -> list[Extra]:
    applying = [scorer for scorer in suite.scorers.values() if scorer.applies(prompt)]
    return [extra for scorer in applying for extra in scorer.extras(prompt, answer_tokens, suite.judge)]


def require_within(suite: Suite, expected: Amount, spent: Amount) -> None:
    """Raises RefusedError where a run may use more than it is allowed to, what it has spent before included."""
    whole = spent + expected
    if expected == Amount() or fits(whole, suite.budget):
        return
    caps = suite.budget
    both = [
        f"{whole.tokens:,} tokens of {caps.tokens:,}" if caps.tokens is not None else "",
        f"{whole.money:.4f} of {caps.money:g} {suite.currency}" if caps.money is not None else "",
    ]
    raise RefusedError(
        "The budget may not suffice",
        why=f"every answer at its longest, the run uses {' and '.join(filter(None, both))}",
        next_step="Raise it (--budget-tokens, --budget-money), take fewer prompts (`limit`) or shorter answers "
        "(`request.maxTokens`), or start all the same with --until-spent: what is left then is skipped.",
    )
