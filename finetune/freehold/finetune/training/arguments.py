"""From a recipe to the keywords of `transformers.TrainingArguments`."""

from pathlib import Path
from typing import Any

from freehold.finetune.recipe import Recipe
from freehold.finetune.scale.arguments import distributed_arguments
from freehold.finetune.training.plan import Plan


def training_arguments(recipe: Recipe, plan: Plan, folder: Path) -> dict[str, Any]:
    """Keywords for the run in `folder`; TRL's configurations take the same ones."""
    training = recipe.training
    return {
        "output_dir": str(folder / "checkpoints"),
        "max_steps": plan.steps,
        "per_device_train_batch_size": plan.micro_batch_size,
        "per_device_eval_batch_size": plan.micro_batch_size,
        "gradient_accumulation_steps": plan.accumulation,
        "learning_rate": plan.learning_rate,
        "lr_scheduler_type": training.scheduler,
        "warmup_steps": round(plan.steps * training.warmup_ratio),
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "optim": "adamw_torch",
        "seed": training.seed,
        "bf16": plan.precision.autocast,
        "gradient_checkpointing": plan.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "use_cpu": plan.precision.device == "cpu",
        "logging_steps": plan.log_steps,
        "logging_nan_inf_filter": False,  # it would wait for the device at every step
        "eval_strategy": "steps" if plan.eval_steps else "no",
        "eval_steps": plan.eval_steps or None,
        "save_strategy": "steps",
        "save_steps": plan.save_steps,
        "report_to": list(recipe.watch.report_to) or "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": plan.precision.device != "cpu",
        **distributed_arguments(recipe, plan.precision),
    }
