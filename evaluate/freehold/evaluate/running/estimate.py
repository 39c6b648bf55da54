"""What a run may use at most, before it starts."""

from collections.abc import Sequence

from freehold.core.errors import RefusedError
from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.running.spending import fits
from freehold.evaluate.suite.bodies import body_of
from freehold.evaluate.suite.suite import Suite
from freehold.evaluate.targets.amounts import Amount, at_most, longest_answer

SCORING = "(scoring)"
"""Whose share the judge's and the embeddings' is."""


def estimate(suite: Suite, prompts: Sequence[Prompt]) -> dict[str, Amount]:
    """By target, and for scoring. An answer without `maxTokens` counts nothing: nobody knows how long it gets."""
    found = {name: Amount() for name in suite.targets}
    scoring = Amount()
    for prompt in prompts:
        applying = [scorer for scorer in suite.scorers.values() if scorer.applies(prompt)]
        for name, target in suite.targets.items():
            body = body_of(suite, target, prompt, 0)
            found[name] += at_most(body, target.prices).times(suite.samples)
            for scorer in applying:
                for extra in scorer.extras(prompt, longest_answer(body) or 0, suite.judge):
                    scoring += at_most(extra.body, extra.endpoint.prices).times(suite.samples)
    return found | ({SCORING: scoring} if scoring != Amount() else {})


def require_within(suite: Suite, expected: Amount, spent: Amount) -> None:
    """Raises RefusedError where a run may use more than it is allowed to, what it has spent before included."""
    whole = spent + expected
    if fits(whole, suite.budget):
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
