"""The adapter on the base: peft's LoRA as the recipe shapes it."""

from typing import Any

from freehold.core.adapters import check_servable
from freehold.finetune.recipe import LoraRecipe, Recipe
from freehold.finetune.targets import Targets


def lora_config(recipe: Recipe, targets: Targets) -> Any:
    """peft's configuration of the recipe's adapter.

    Raises RefusedError for one that no engine serves, unless it is to be merged.
    """
    from peft import LoraConfig

    lora = recipe.lora
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=alpha(lora),
        lora_dropout=lora.dropout,
        target_modules=list(targets.modules),
        target_parameters=list(targets.parameters) or None,
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        init_lora_weights={"default": True}.get(lora.init, lora.init),
        modules_to_save=list(lora.modules_to_save) or None,
    )
    if not recipe.output.merge:
        check_servable(config.to_dict(), name="the recipe's adapter")
    return config


def alpha(lora: LoraRecipe) -> float:
    """The scale's numerator: as written, else twice the rank, or the rank where rsLoRA divides by its root.

    A whole number stays one, since engines read an integer in `adapter_config.json`.
    """
    if lora.alpha is None:
        return lora.rank if lora.rslora else 2 * lora.rank
    return int(lora.alpha) if lora.alpha.is_integer() else lora.alpha


def add_adapter(model: Any, config: Any, *, seed: int) -> Any:
    """The base with a fresh adapter (`peft.PeftModel`), which alone requires gradients and is float32."""
    from peft import get_peft_model
    from transformers import set_seed

    set_seed(seed)
    return get_peft_model(model, config)
