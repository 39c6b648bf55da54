"""The report of a run's folder."""

import json
from pathlib import Path
from typing import Any

import yaml

from freehold.evaluate.prompts.prompt import Prompt, question_of, text_of
from freehold.evaluate.report.document import Asked, Report, build_report
from freehold.evaluate.results.reading import read_answers
from freehold.evaluate.running.folder import SUITE, read_prompts
from freehold.evaluate.suite.suite import Suite


def suite_of_run(folder: Path) -> Suite:
    """The suite as the run resolved it."""
    return Suite.model_validate(yaml.safe_load((folder / SUITE).read_text()))


def report_of_run(folder: Path) -> Report | None:
    """What the run found; None where its suite names no baseline, or nothing beside it.

    Raises UserError where targets have no prompt in common.
    """
    suite = suite_of_run(folder)
    candidates = [name for name in suite.names if name != suite.baseline]
    if suite.baseline is None or not candidates:
        return None
    answers = read_answers(folder)
    if suite.slices is not None:
        kept = set(suite.slices)
        answers = [one.model_copy(update={"slices": _only(one.slices, kept)}) for one in answers]
    asked = {prompt.id: _asked(prompt) for prompt in map(Prompt.model_validate, read_prompts(folder))}
    return build_report(
        answers,
        asked,
        suite=suite.name,
        baseline=suite.baseline,
        candidates=candidates,
        margin=suite.margin,
        seed=suite.seed,
        solved_at=suite.solved_at,
        currency=suite.currency,
    )


def _only(slices: dict[str, str], kept: set[str]) -> dict[str, str]:
    return {name: value for name, value in slices.items() if name in kept}


def _asked(prompt: Prompt) -> Asked:
    """One message from the user stands alone; a conversation tells who speaks."""
    alone = len(prompt.messages) == 1 and prompt.messages[0].get("role") == "user"
    return Asked(text_of(prompt.messages[0]) if alone else question_of(prompt), _text(prompt.expected))


def _text(expected: Any) -> str:
    if expected is None or isinstance(expected, str):
        return expected or ""
    return json.dumps(expected, ensure_ascii=False)
