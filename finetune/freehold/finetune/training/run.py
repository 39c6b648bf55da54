"""One fine-tuning run, from a recipe to an artifact."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freehold.core.progress import phase
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.finetune.model.adapter import add_adapter, lora_config
from freehold.finetune.model.loading import load_base, load_tokenizer
from freehold.finetune.model.precision import choose_precision
from freehold.finetune.output.adapter import store_adapter
from freehold.finetune.recipe import Recipe
from freehold.finetune.training.arguments import training_arguments
from freehold.finetune.training.objective import TrainerSetup
from freehold.finetune.training.objectives import objective_named
from freehold.finetune.training.plan import make_plan


@dataclass(frozen=True)
class Outcome:
    """What a run left behind."""

    artifact: Artifact
    metrics: dict[str, Any]
    folder: Path
    """The run's own folder: checkpoints, metrics, report."""


def finetune(recipe: Recipe, store: Store, settings: Settings) -> Outcome:
    """Run a recipe and store what comes of it."""
    from freehold.finetune.training.temporary import read_rows

    base = store.get(recipe.model)
    tokenizer = load_tokenizer(base)
    objective = objective_named(recipe.training.objective)
    with phase("Reading and tokenising the data"):
        train, evaluation = read_rows(recipe, tokenizer, objective)
    precision = choose_precision(recipe.training.precision)
    with phase(f"Loading {base.id}"):
        model = load_base(base, recipe, precision)
    plan = make_plan(
        recipe,
        objective.lengths(train),
        len(evaluation) if evaluation else 0,
        precision=precision,
        parameters=model.num_parameters(),
        micro_batch_size=recipe.training.micro_batch_size or recipe.training.batch_size,
        gradient_checkpointing=recipe.training.gradient_checkpointing == "on",
    )
    folder = settings.home / "runs" / "thin"
    setup = TrainerSetup(
        recipe=recipe,
        model=add_adapter(model, lora_config(recipe), seed=recipe.training.seed),
        tokenizer=tokenizer,
        arguments=training_arguments(recipe, plan, folder),
        train=train,
        eval=evaluation,
    )
    trainer = objective.trainer(setup)
    result = trainer.train()
    metrics = {"train_loss": result.training_loss, "steps": plan.steps}
    return Outcome(store_adapter(trainer.model, base, recipe, metrics, store, folder), metrics, folder)
