"""What is wrong with a suite beyond its form: names that lead nowhere, prompts that no scorer can score."""

from collections import Counter
from collections.abc import Mapping, Sequence

from freehold.core.settings import Settings
from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.scorers.rubric import EXPECTED, Rubric
from freehold.evaluate.suite.bodies import body_of
from freehold.evaluate.suite.suite import Suite
from freehold.evaluate.targets.amounts import longest_answer

_SHOWN = 3
"""Prompts that are named of those with the same problem."""


def problems_of(suite: Suite, prompts: Sequence[Prompt], settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Every one, each with its path in the file."""
    return [
        *_targets(suite, settings, environ),
        *_scorers(suite),
        *_records(suite, prompts),
        *_slices(suite, prompts),
        *_scoring(suite, prompts),
        *_budget(suite, prompts),
    ]


def _targets(suite: Suite, settings: Settings, environ: Mapping[str, str]) -> list[str]:
    problems = []
    if not suite.names:
        problems.append("targets: there is nothing to ask; name one here, or with --target NAME=URL")
    if suite.baseline and suite.baseline not in suite.names:
        problems.append(f"baseline: no target {suite.baseline}; there are {', '.join(suite.names) or 'none'}")
    problems += [
        f"fromRecord.{name}: a target of `targets` has this name" for name in suite.from_record.keys() & suite.targets
    ]
    for place, endpoint in suite.endpoints().items():
        if endpoint.api_key_from and not environ.get(endpoint.api_key_from.env):
            problems.append(f"{place}.apiKeyFrom: the environment has no {endpoint.api_key_from.env}")
        if settings.offline and not endpoint.is_loopback:
            problems.append(
                f"{place}.baseUrl: {endpoint.base_url} is not on this machine, and --offline allows no other"
            )
    return problems


def _records(suite: Suite, prompts: Sequence[Prompt]) -> list[str]:
    there = sorted({source for prompt in prompts for source in prompt.replies})
    return [
        f"fromRecord.{name}: no prompt was answered by {one.source}; there are {', '.join(there) or 'none'}, of "
        "prompts that are `recorded` with `replay: true`"
        for name, one in suite.from_record.items()
        if prompts and one.source not in there
    ]


def _scorers(suite: Suite) -> list[str]:
    problems = []
    for name, scorer in suite.scorers.items():
        if why := scorer.obstacle():
            problems.append(f"scorers.{name}: {why}")
        if isinstance(scorer, Rubric):
            if suite.judge is None:
                problems.append(f"scorers.{name}: a rubric needs a judge; name one under `judge`")
            if scorer.against not in (EXPECTED, *suite.names):
                known = ", ".join([EXPECTED, *suite.names])
                problems.append(f"scorers.{name}.against: no target {scorer.against}; there are {known}")
    return problems


def _slices(suite: Suite, prompts: Sequence[Prompt]) -> list[str]:
    named = Counter(name for prompt in prompts for name in prompt.slices)
    problems = [f"slices: no prompt has a slice {name}" for name in suite.slices or () if prompts and not named[name]]
    for scorer, given in suite.scorers.items():
        for name, values in given.only.items():
            there = {prompt.slices[name] for prompt in prompts if name in prompt.slices}
            if prompts and (missing := sorted(set(values) - there)):
                found = f"no prompt has {name}: {', '.join(missing)}"
                problems.append(f"scorers.{scorer}.only: {found}; there are {', '.join(sorted(there)) or 'none'}")
    return problems


def _scoring(suite: Suite, prompts: Sequence[Prompt]) -> list[str]:
    found: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        applying = {name: scorer for name, scorer in suite.scorers.items() if scorer.applies(prompt)}
        if not applying:
            found.setdefault("scorers: none applies", []).append(prompt)
        for name, scorer in applying.items():
            if why := scorer.lack(prompt):
                found.setdefault(f"scorers.{name}: {why}", []).append(prompt)
    return [f"{problem}, at {_named(where)}" for problem, where in found.items()]


def _named(prompts: list[Prompt]) -> str:
    named = ", ".join(f"{prompt.origin} ({prompt.id})" for prompt in prompts[:_SHOWN])
    more = len(prompts) - _SHOWN
    return f"{named} and {more} more" if more > 0 else named


def _budget(suite: Suite, prompts: Sequence[Prompt]) -> list[str]:
    problems = []
    if suite.budget.money is not None:
        free = [place for place, endpoint in suite.endpoints().items() if endpoint.prices is None]
        problems += [f"{place}.prices: a budget in money needs them; 0 is a price" for place in free]
    if suite.budget != type(suite.budget)():
        for name, target in suite.targets.items():
            endless = [prompt for prompt in prompts if longest_answer(body_of(suite, target, prompt, 0)) is None]
            if endless:
                problems.append(f"request.maxTokens: a budget needs it, for {name} at {_named(endless)}")
    return problems
