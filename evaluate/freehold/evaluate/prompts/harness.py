"""Tasks of lm-evaluation-harness, by its own API: https://github.com/EleutherAI/lm-evaluation-harness"""

import json
import logging
from collections.abc import Iterator
from functools import cache
from typing import Any

from freehold.core.errors import EnvironmentProblem, RemoteError, UserError
from freehold.evaluate.prompts.prompt import Prompt, TaskDocument, digest
from freehold.evaluate.suite.sources import TaskPrompts

GENERATES = "generate_until"
_MOST_STOPS = 4
"""OpenAI's API takes no more."""


def task_prompts(source: TaskPrompts) -> Iterator[Prompt]:
    """Every document of every task, with its examples, as a chat.

    Raises EnvironmentProblem where the harness is not installed, UserError for a task that is not there or that asks
    for log-probabilities, RemoteError where a data set cannot be had.
    """
    folder = str(source.folder) if source.folder else None
    for name, task in load_tasks(source.tasks, folder, source.fewshot).items():
        _require_text(name, task)
        task.build_all_requests(apply_chat_template=True, fewshot_as_multiturn=True, chat_template=_as_json)
        for instance in task.instances:
            if instance.idx == 0:
                yield _prompt(name, instance, TaskDocument(name=name, folder=folder, fewshot=source.fewshot, doc={}))


@cache
def load_tasks(names: tuple[str, ...], folder: str | None, fewshot: int | None) -> dict[str, Any]:
    """Tasks by name, groups and tags unfolded. Raises as `task_prompts` does."""
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise EnvironmentProblem(
            "lm-evaluation-harness is not installed here",
            why="the suite's prompts name tasks of it",
            next_step="pip install 'freehold[harness]'",
        ) from error
    logging.getLogger("lm_eval").setLevel(logging.WARNING)
    manager = TaskManager(include_path=folder)
    if unknown := [name for name in names if name not in manager.all_tasks]:
        raise UserError(
            f"lm-evaluation-harness has no task {', '.join(unknown)}",
            next_step="`lm-eval ls tasks` lists them; `folder` names a folder of your own.",
        )
    try:
        found: dict[str, Any] = manager.load(list(names))["tasks"]
    except (OSError, ValueError) as error:  # what `datasets` raises when it finds nothing, or no network
        why = f"{type(error).__name__}: {error}"
        raise RemoteError(f"The data of {', '.join(names)} cannot be had", why=why) from error
    for task in found.values():
        if fewshot is not None:
            task.set_config(key="num_fewshot", value=fewshot)
        task.set_fewshot_seed(seed=0)
    return found


def _require_text(name: str, task: Any) -> None:
    if task.OUTPUT_TYPE != GENERATES:
        raise UserError(
            f"Task {name} asks for log-probabilities ({task.OUTPUT_TYPE})",
            why="a chat API answers with text",
            next_step="Take its generative form, where there is one (`…_generative`, `…_cot`).",
        )


def _as_json(messages: list[dict[str, Any]], add_generation_prompt: bool = True, **_: Any) -> str:
    """In place of a chat template: the messages themselves, which the API takes."""
    return json.dumps(messages, ensure_ascii=False)


def _prompt(name: str, instance: Any, document: TaskDocument) -> Prompt:
    context, asked = instance.args[:2]
    messages = json.loads(context)
    doc = json.loads(json.dumps(instance.doc, default=str))
    return Prompt(
        id=f"{name}-{instance.doc_id}-{digest(messages)[:8]}",
        messages=tuple(messages),
        slices={"task": name},
        request=_request(asked),
        task=document.model_copy(update={"doc": doc}),
        origin=f"{name}:{instance.doc_id}",
    )


def _request(asked: dict[str, Any]) -> dict[str, Any]:
    """The task's `generation_kwargs` by the API's names."""
    request: dict[str, Any] = {}
    until = asked.get("until") or []
    stops = [until] if isinstance(until, str) else list(until)
    if stops:
        request["stop"] = stops[:_MOST_STOPS]
    if "max_gen_toks" in asked:
        request["max_tokens"] = int(asked["max_gen_toks"])
    if asked.get("do_sample") is False:
        request["temperature"] = 0
    elif "temperature" in asked:
        request["temperature"] = float(asked["temperature"])
    return request
