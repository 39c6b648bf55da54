"""The training itself, in one process or in each of several: from a prepared folder to the trained adapter in it."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from transformers import PrinterCallback, set_seed

from freehold.core.model.loading import load_tokenizer
from freehold.core.progress import hint, phase
from freehold.core.quiet import quiet_libraries
from freehold.core.store import Artifact, Store
from freehold.finetune.masking.loading import stop_token_ids
from freehold.finetune.model.adapter import add_adapter, lora_config
from freehold.finetune.model.loading import load_base
from freehold.finetune.output.saving import save_adapter
from freehold.finetune.recipe import Recipe
from freehold.finetune.scale.state import whole_state
from freehold.finetune.targets import Targets
from freehold.finetune.training.arguments import training_arguments
from freehold.finetune.training.checkpoints import CheckpointKeeper, clear_halves, step_of, whole_checkpoints
from freehold.finetune.training.first_step import check_kept_apart, memory_explained, try_longest_batch
from freehold.finetune.training.folder import RunFolder
from freehold.finetune.training.objective import TrainerSetup
from freehold.finetune.training.objectives import objective_named
from freehold.finetune.training.plan import Plan
from freehold.finetune.training.rows import Rows
from freehold.finetune.watching.metrics import Metrics
from freehold.finetune.watching.samples import Question, Sampler
from freehold.finetune.watching.watcher import Watcher, best_evaluation


@dataclass(frozen=True)
class Task:
    """What was decided before the first step, for whichever process trains."""

    recipe: Recipe
    base: Artifact
    plan: Plan
    targets: Targets
    questions: tuple[Question, ...]

    def save(self, folder: RunFolder) -> None:
        folder.write_json(
            folder.task,
            {
                "recipe": self.recipe.model_dump(mode="json"),
                "base": self.base.id,
                "plan": self.plan.document(),
                "targets": asdict(self.targets),
                "questions": [asdict(question) for question in self.questions],
            },
        )

    @classmethod
    def load(cls, folder: RunFolder, store: Store) -> "Task":
        said = json.loads(folder.task.read_text())
        return cls(
            recipe=Recipe.model_validate(said["recipe"]),
            base=store.get(said["base"]),
            plan=Plan.of(said["plan"]),
            targets=Targets(**{name: tuple(values) for name, values in said["targets"].items()}),
            questions=tuple(
                Question(each["prompt"], each["expected"], tuple(each["prompt_ids"])) for each in said["questions"]
            ),
        )


@dataclass(frozen=True)
class Trained:
    """The model after its last step, and what was measured."""

    model: Any
    tokenizer: Any
    metrics: dict[str, Any]


def train(folder: RunFolder, store: Store, *, facts: Mapping[str, Any] | None = None) -> Trained:
    """Train what the folder's task says, going on from its newest whole checkpoint, and save the adapter in it.

    Several workers each call this (`RANK` in the environment); the first one watches and saves.
    """
    task = Task.load(folder, store)
    recipe, plan = task.recipe, task.plan
    is_first = int(os.environ.get("RANK", "0")) == 0
    tokenizer = load_tokenizer(task.base)
    with phase(f"Loading {task.base.id}"), memory_explained(recipe, plan.micro_batch_size, plan.longest):
        model = load_base(task.base, recipe, plan.precision)
        model = add_adapter(model, lora_config(recipe, task.targets), seed=recipe.training.seed)
    watcher = _watcher(folder, task, tokenizer, facts or {}) if is_first else None
    setup = TrainerSetup(
        recipe=recipe,
        model=model,
        tokenizer=tokenizer,
        arguments=training_arguments(recipe, plan, folder.path),
        train=Rows.load(folder.train_rows),
        eval=Rows.load(folder.eval_rows) if folder.eval_rows.is_file() else None,
        callbacks=[CheckpointKeeper(recipe.watch.keep_checkpoints), *([watcher] if watcher else [])],
    )
    objective = objective_named(recipe.training.objective)
    with quiet_libraries():
        trainer = objective.trainer(setup)
    trainer.remove_callback(PrinterCallback)
    with phase("Trying the longest batch"):
        if recipe.training.packing:
            pad = trainer.data_collator.pad_token_id
            check_kept_apart(model, setup.train, pad, autocast=plan.precision.autocast)
        if not recipe.scale.fsdp:  # the base is split up only when training begins
            try_longest_batch(trainer, objective.lengths(setup.train), recipe)
    if is_first:
        clear_halves(folder.checkpoints)
    checkpoint = next(reversed(whole_checkpoints(folder.checkpoints)), None)
    if checkpoint:
        hint(f"Going on from step {step_of(checkpoint)} of {plan.steps}.")
    # The pass above drew random numbers; a run must not depend on it.
    set_seed(recipe.training.seed)
    with memory_explained(recipe, plan.micro_batch_size, plan.longest), quiet_libraries(), _told(watcher):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    _evaluate_end(task, trainer)
    state = whole_state(trainer)
    metrics = _finish(folder, task, trainer, watcher, state) if watcher else {}
    return Trained(trainer.accelerator.unwrap_model(trainer.model), tokenizer, metrics)


@contextmanager
def _told(watcher: Watcher | None) -> Iterator[None]:
    """Let the report say how training ended, if it did not end well."""
    try:
        yield
    except BaseException as error:
        if watcher and watcher.bar:
            watcher.bar.close()
            watcher.draw(f"stopped: {type(error).__name__} {error}".strip())
        raise


def _watcher(folder: RunFolder, task: Task, tokenizer: Any, facts: Mapping[str, Any]) -> Watcher:
    stop = {*stop_token_ids(task.base.path), tokenizer.eos_token_id} - {None}
    split = task.recipe.scale.fsdp
    return Watcher(
        metrics=Metrics.open(folder.metrics),
        report=folder.report,
        plot=folder.plot,
        title=f"{task.recipe.output.name or task.base.name}: fine-tuning",
        facts=facts,
        # The first worker alone asks, and with a base that is split up it cannot.
        sampler=Sampler(task.questions, tokenizer, sorted(stop)) if task.questions and stop and not split else None,
    )


def _evaluate_end(task: Task, trainer: Any) -> None:
    """Evaluate the last step unless that was just done; every worker takes its share."""
    evaluated = [entry["step"] for entry in trainer.state.log_history if "eval_loss" in entry]
    if task.plan.eval_steps and trainer.state.global_step not in evaluated[-1:]:
        trainer.evaluate()


def _finish(
    folder: RunFolder, task: Task, trainer: Any, watcher: Watcher, state: dict[str, Any] | None
) -> dict[str, Any]:
    save_adapter(trainer.accelerator.unwrap_model(trainer.model), task.base, folder.adapter, state=state)
    losses = [loss for _, loss in watcher.metrics.curve("loss")]
    tail = losses[-max(1, len(losses) // 10) :]
    metrics: dict[str, Any] = {
        "steps": trainer.state.global_step,
        "loss": round(sum(tail) / len(tail), 6),
        "tokens_per_s": round(watcher.tokens_per_s, 1),
    }
    if best := best_evaluation(watcher.metrics):
        metrics |= {
            "eval_loss": watcher.metrics.last("eval_loss"),
            "best_eval_loss": best[1],
            "best_eval_step": best[0],
        }
    watcher.draw("finished")
    return metrics
