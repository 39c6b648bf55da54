"""`harness`: a task of lm-evaluation-harness scores the answer by its own filters and metrics."""

import asyncio
import threading
from typing import Any, Literal

from freehold.core.errors import UserError
from freehold.evaluate.prompts.harness import load_tasks
from freehold.evaluate.prompts.prompt import Prompt, TaskDocument
from freehold.evaluate.results.record import Score
from freehold.evaluate.scorers.scorer import Ask, Sample, Scorer, shortened

_turn = threading.Lock()
"""A task holds the instances that its filters work on."""


class Harness(Scorer):
    """For prompts that come from `tasks`, and no others."""

    kind: Literal["harness"]
    metric: str | None = None
    """Which of the task's metrics; none is its first."""
    filter: str | None = None
    """Which of the task's filters, for example `flexible-extract`; none is its first."""

    def applies(self, prompt: Prompt) -> bool:
        return prompt.task is not None and super().applies(prompt)

    async def score(self, sample: Sample, ask: Ask) -> Score:
        document = sample.prompt.task
        assert document is not None, "`applies` has looked"
        return await asyncio.to_thread(self._score, document, sample.reply.text)

    def _score(self, document: TaskDocument, answer: str) -> Score:
        from lm_eval.api.instance import Instance

        task = load_tasks((document.name,), document.folder, document.fewshot)[document.name]
        instance = Instance(request_type=task.OUTPUT_TYPE, doc=document.doc, arguments=("", {}), idx=0, resps=[answer])
        with _turn:
            task._instances = [instance]  # what `build_all_requests` sets; there is no public way
            task.apply_filters()
        filtered = _chosen(instance.filtered_resps, self.filter, "filter", document.name)
        came = filtered[0] if isinstance(filtered, list) else filtered
        metrics = task.process_results(document.doc, [came])
        value = _chosen(metrics, self.metric, "metric", document.name)
        expected = shortened(task.doc_to_target(document.doc))
        return Score(value=_share(value, document.name), why=f"the task expects {expected}; it took {shortened(came)}")


def _chosen(given: dict[str, Any], name: str | None, what: str, task: str) -> Any:
    if name is None:
        return next(iter(given.values()))
    if name not in given:
        raise UserError(f"Task {task} has no {what} {name}", why=f"there are {', '.join(map(str, given))}")
    return given[name]


def _share(value: Any, task: str) -> float:
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = -1.0
    if not 0 <= share <= 1:
        raise UserError(
            f"Task {task} scores an answer {shortened(value)}",
            why="a score lies between 0 and 1",
            next_step="Name another `metric` for the scorer of kind harness.",
        )
    return share
