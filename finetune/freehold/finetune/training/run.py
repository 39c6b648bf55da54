"""One fine-tuning run, from a recipe to an artifact."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.core.errors import RefusedError, UserError
from freehold.core.memory import free_memory
from freehold.core.model.loading import skeleton
from freehold.core.progress import hint, human_bytes, phase
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.finetune.checking.speed import remember_speed
from freehold.finetune.masking.loading import load_masker
from freehold.finetune.model.adapter import lora_config
from freehold.finetune.model.footprint import Footprint, footprint
from freehold.finetune.model.precision import choose_precision
from freehold.finetune.output.adapter import finetune_step, store_adapter, write_records
from freehold.finetune.output.effect import check_has_effect
from freehold.finetune.output.merge import load_with_adapter, store_merged
from freehold.finetune.parity.prompts import choose_prompts
from freehold.finetune.parity.reference import write_reference
from freehold.finetune.recipe import Recipe
from freehold.finetune.scale.together import train_together
from freehold.finetune.targets import Targets, choose_targets
from freehold.finetune.training.checkpoints import step_of, whole_checkpoints
from freehold.finetune.training.data import RunData, read_run_data, within_context
from freehold.finetune.training.fitting import Fit, fit
from freehold.finetune.training.folder import RunFolder, claimed, run_key
from freehold.finetune.training.objectives import objective_named
from freehold.finetune.training.plan import Plan, make_plan
from freehold.finetune.training.rows import Rows
from freehold.finetune.training.stage import Task, Trained, train
from freehold.finetune.watching.samples import choose_questions
from freehold.finetune.watching.trackers import check_trackers


@dataclass(frozen=True)
class Prepared:
    """A run before its first step: everything known that can be known without the base's weights."""

    recipe: Recipe
    base: Artifact
    data: RunData
    masker: Any
    plan: Plan
    fit: Fit
    footprint: Footprint
    targets: Targets

    @property
    def facts(self) -> dict[str, Any]:
        """What `--dry-run` prints and the report shows."""
        plan, precision = self.plan, self.plan.precision
        rows = f"{plan.rows} to learn, {plan.eval_rows} held out; {plan.tokens_per_epoch} tokens an epoch"
        steps = f"{plan.steps} of {self.recipe.training.batch_size} examples, {plan.steps_per_epoch} an epoch"
        passes = f"{plan.micro_batch_size} examples each, {plan.accumulation} a step: {self.fit.reason}"
        trained = self.footprint.trained_parameters
        return {
            "base": self.base.id,
            "objective": self.recipe.training.objective,
            "rows": f"{rows}, the longest {plan.longest}",
            "steps": steps,
            "passes": passes,
            "learning rate": f"{plan.learning_rate:g}, {self.recipe.training.scheduler}",
            "precision": f"{precision.base} on {precision.device}: {precision.reason}",
            "adapted": ", ".join((*self.targets.modules, *self.targets.parameters)),
            "trained": f"{trained:,} of {self.footprint.parameters:,} parameters".replace(",", " "),
            "memory": f"about {human_bytes(self.fit.needed_bytes)} of {human_bytes(self.fit.free_bytes)} free",
        }


@dataclass(frozen=True)
class Outcome:
    """What a run left behind."""

    artifact: Artifact
    metrics: dict[str, Any]
    folder: Path
    """The run's own folder: checkpoints, metrics, report."""


def prepare(recipe: Recipe, store: Store, settings: Settings) -> Prepared:
    """Read, check, count and estimate. Loads no weights. Raises whatever would keep the run from ending well."""
    base = store.get(recipe.model)
    if base.lineage.kind != "model":
        raise UserError(
            f"{base.id} is an adapter",
            why="an adapter is trained on a model",
            next_step=f"Train on its base, {', '.join(base.lineage.parents)}, or `freehold merge {base.id}` first.",
        )
    check_trackers(recipe.watch.report_to)
    remote = "remote-code" in base.lineage.allowed
    model = skeleton(base.path, remote_code=remote)
    targets = choose_targets(model, recipe)
    lora = lora_config(recipe, targets)
    for note in targets.notes:
        hint(f"{note[:1].upper()}{note[1:]}.")
    objective = objective_named(recipe.training.objective)
    precision = choose_precision(recipe.training.precision)
    with phase("Reading, checking and tokenising the data"):
        masker = load_masker(base.path, allow_remote_code=remote)
        data = read_run_data(within_context(recipe, base), base, objective, masker, settings)
    lengths = objective.lengths(data.train)
    split = recipe.scale.workers if recipe.scale.fsdp else 1
    taken = footprint(model, lora, precision, quantization=recipe.training.quantization, split=split)
    fitted = fit(recipe, lengths, _learnt(data.train, lengths), taken, free_memory(precision.device))
    plan = make_plan(
        recipe,
        lengths,
        len(data.eval) if data.eval else 0,
        precision=precision,
        parameters=taken.parameters,
        micro_batch_size=fitted.micro_batch_size,
        gradient_checkpointing=fitted.gradient_checkpointing,
    )
    return Prepared(recipe, base, data, masker, plan, fitted, taken, targets)


def finetune(
    recipe: Recipe, store: Store, settings: Settings, *, resume: bool = False, restart: bool = False
) -> Outcome:
    """Run a recipe and store what comes of it; the same recipe on the same data is the same run.

    A finished one is only looked up, one that was killed wants `resume` or `restart`. Raises RefusedError for that, and
    while another process trains it.
    """
    prepared = prepare(recipe, store, settings)
    base = prepared.base
    name = recipe.output.name or f"{base.name}-tuned"
    key = run_key(recipe, base.lineage.digest, list(prepared.data.digests.values()))
    with store.use(base), claimed(settings, name, key) as folder:
        if restart:
            folder.clear()
        if done := _finished(folder, store):
            hint(f"{done.artifact.id} was made by this recipe before; --restart trains it again.")
            return done
        _settle(folder, resume=resume)
        write_task(folder, recipe, prepared)
        alone = recipe.scale.workers == 1 and recipe.scale.launcher == "accelerate"
        trained = (train if alone else train_together)(folder, store, facts=prepared.facts)
        if trained.metrics["tokens_per_s"]:  # none where a resumed run had no step left
            remember_speed(settings, base.id, trained.metrics["tokens_per_s"])
        return _store(folder, prepared, trained, store)


def _finished(folder: RunFolder, store: Store) -> Outcome | None:
    artifact_id = folder.artifact_id()
    artifact = store.find(artifact_id) if artifact_id else None
    if artifact is None:
        folder.result.unlink(missing_ok=True)  # it was removed from the store since
        return None
    return Outcome(artifact, artifact.lineage.steps[-1].parameters["metrics"], folder.path)


def _settle(folder: RunFolder, *, resume: bool) -> None:
    """Decide between going on and beginning."""
    checkpoints = whole_checkpoints(folder.checkpoints)
    if not checkpoints:
        if resume:
            hint("There is no checkpoint of this recipe and data to go on from: it begins at the first step.")
        folder.clear()
    elif not resume:
        raise RefusedError(
            f"An earlier run of this recipe stopped after step {step_of(checkpoints[-1])}",
            why=f"its checkpoints are in {folder.checkpoints}",
            next_step="Add --resume to go on from there, or --restart to begin again without them.",
        )


def write_task(folder: RunFolder, recipe: Recipe, prepared: Prepared) -> None:
    """Put everything that `stage.train` reads into the folder."""
    data = prepared.data
    data.train.save(folder.train_rows)
    if data.eval:
        data.eval.save(folder.eval_rows)
    questions = choose_questions(data.held_out, prepared.masker, recipe.watch.samples)
    Task(recipe, prepared.base, prepared.plan, prepared.targets, tuple(questions)).save(folder)


def _store(folder: RunFolder, prepared: Prepared, trained: Trained, store: Store) -> Outcome:
    recipe, base, data = prepared.recipe, prepared.base, prepared.data
    prompts = choose_prompts(data.held_out or data.train_examples)
    with phase(f"Writing what the trained model answers to {len(prompts)} prompts"):
        write_reference(
            trained.model,
            trained.tokenizer,
            prompts,
            folder.adapter,
            base=base,
            base_quantization=recipe.training.quantization,
        )
    if recipe.output.merge:
        artifact = _store_merged(folder, prepared, trained, store)
    else:
        artifact = store_adapter(folder, base, recipe, trained.metrics, data.digests, store)
    folder.write_json(folder.result, {"artifact": artifact.id})
    return Outcome(artifact, trained.metrics, folder.path)


def _store_merged(folder: RunFolder, prepared: Prepared, trained: Trained, store: Store) -> Artifact:
    """The model that was trained, merged from memory: initialisations like PiSSA changed its base as well."""
    recipe, base = prepared.recipe, prepared.base
    check_has_effect(folder.adapter)
    write_records(folder.adapter, recipe, trained.metrics)
    for file in (folder.report, folder.plot):
        shutil.copy(file, folder.adapter / file.name)
    step = finetune_step(recipe, trained.metrics, prepared.data.digests, base)
    name = recipe.output.name or f"{base.name}-tuned"
    # Merged in full precision: the adapter is for the whole base, also where that was quantized while it learnt.
    quantized = recipe.training.quantization != "none"
    return store_merged(
        load_with_adapter(base, folder.adapter) if quantized else trained.model,
        base,
        store,
        name=name,
        steps=(step,),
        records=folder.adapter,
        parameters={"run": folder.path.name},
    )


def _learnt(rows: Rows, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tokens of each row that the output head works for: the learnt ones, or all where the objective does not say."""
    trained = rows.columns.get("trained")
    if trained is None:
        return lengths
    return np.array([int(np.count_nonzero(trained[row])) for row in range(len(trained))], dtype=np.int64)
