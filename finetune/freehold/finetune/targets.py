"""Which parts of a model get an adapter, from its module tree alone: no weights are needed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from freehold.core.errors import RefusedError, UserError
from freehold.core.model.tree import ModelTree
from freehold.finetune.recipe import Recipe

SERVED_EXPERTS = ("GptOssForCausalLM",)
"""Architectures whose engine takes experts as peft saves them: one adapter for the stack of all experts, in the order
of axes that the model has. The others want one per expert (`is_3d_moe_weight` in vLLM's model classes)."""


@dataclass(frozen=True)
class Targets:
    """peft's targets for one model."""

    modules: tuple[str, ...]
    """Names for `target_modules`: ends of module paths, or whole paths where an end alone would say too much."""
    parameters: tuple[str, ...] = ()
    """Names for `target_parameters`: experts that are stacked in one three-dimensional parameter."""
    notes: tuple[str, ...] = ()
    """What was left out that the user may have expected, a sentence each."""


def choose_targets(model: Any, recipe: Recipe) -> Targets:
    """The targets of `lora.targets` and `lora.experts` on this model.

    Raises UserError for a name that matches nothing, RefusedError for what no engine would serve.
    """
    tree = ModelTree(model)
    if recipe.lora.experts:
        _check_experts(tree, recipe)
    elif tree.experts_only:
        raise UserError(
            f"{tree.architecture} has no linear layer outside its experts",
            why="`lora.experts` is off",
            next_step="Write `lora: {experts: true}`.",
        )
    if recipe.lora.targets == "all-linear":
        return _every_linear(tree, recipe)
    return _named(tree, recipe.lora.targets, recipe)


def _remapped(tree: ModelTree, name: str) -> bool:
    """Whether peft reads this name as that of experts or a router, as they were called before transformers 5."""
    from peft import LoraConfig
    from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers

    config = LoraConfig(target_modules=[name])
    try:
        convert_peft_config_for_transformers(config, tree.model, None)
    except ValueError:  # it wants the other half of a fused pair named too
        return True
    return bool(config.target_parameters)


def _every_linear(tree: ModelTree, recipe: Recipe) -> Targets:
    wanted = tree.plain | (tree.experts if recipe.lora.experts else set())
    fused = tuple(tree.stacks) if recipe.lora.experts else ()
    lost = {path for path in wanted if _remapped(tree, _leaf(path))}
    notes = []
    if lost:
        # peft would put the adapter on the stacked experts instead, whatever the path before the name.
        names = ", ".join(sorted({".".join(path.split(".")[-2:]) for path in lost}))
        notes.append(f"{names} get no adapter: peft takes these names for the experts'")
    if (tree.experts or tree.stacks) and not recipe.lora.experts:
        notes.append("experts and routers get no adapter (`lora.experts` is off)")
    others = (tree.head | tree.outside | tree.routers | tree.experts | tree.plain) - (wanted - lost)
    return Targets(_names(wanted - lost, others), fused, tuple(notes))


def _named(tree: ModelTree, names: Iterable[str], recipe: Recipe) -> Targets:
    known = tree.plain | tree.experts
    modules: list[str] = []
    parameters: list[str] = []
    for name in names:
        _check_known(tree, name)
        if any(_matches(path, name) for path in tree.head | tree.routers):
            raise RefusedError(
                f"`lora.targets` names {name}, the router of experts or the output head",
                why="no engine serves an adapter there",
                next_step="Leave it out.",
            )
        stacks = [stack for stack in tree.stacks if stack == name or _leaf(stack) == name]
        if stacks or _remapped(tree, name) or any(_matches(path, name) for path in tree.experts):
            if not recipe.lora.experts:
                raise UserError(
                    f"`lora.targets` names {name}, which are experts",
                    why="peft adapts the experts under that name, and `lora.experts` is off",
                    next_step="Leave it out, or write `lora: {experts: true}`.",
                )
            parameters += stacks or tree.stacks
        if not stacks and not _remapped(tree, name):
            wanted = {path for path in known if _matches(path, name)}
            modules += _names(wanted, (known | tree.outside) - wanted)
    return Targets(tuple(dict.fromkeys(modules)), tuple(dict.fromkeys(parameters)))


def _check_known(tree: ModelTree, name: str) -> None:
    everything = tree.plain | tree.experts | tree.routers | tree.head
    if name in tree.stacks or name in {_leaf(stack) for stack in tree.stacks}:
        return
    if not any(_matches(path, name) for path in everything):
        there = sorted({_leaf(path) for path in tree.plain | tree.experts} | set(tree.stacks))
        raise UserError(
            f"`lora.targets` names {name}, and {tree.architecture} has no such layer",
            why=f"it has {', '.join(there)}",
            next_step="Correct the name, or leave `lora.targets` out to adapt every linear layer.",
        )


def _check_experts(tree: ModelTree, recipe: Recipe) -> None:
    if not (tree.experts or tree.stacks):
        raise UserError(
            f"`lora.experts` is on, and {tree.architecture} is no mixture of experts",
            next_step="Leave `lora.experts` out.",
        )
    if tree.stacks and recipe.lora.dropout:
        raise UserError(
            "`lora.dropout` does not go with `lora.experts`",
            why="the experts are one parameter, and there is no input to drop from",
            next_step="Write `lora: {dropout: 0}`.",
        )
    if tree.stacks and tree.architecture not in SERVED_EXPERTS and not recipe.output.merge:
        raise RefusedError(
            f"no engine serves an adapter on the experts of {tree.architecture}",
            why="it takes an adapter per expert, and peft trains one for the stack of all experts",
            next_step="Write `output: {merge: true}` to get a merged model, or leave `lora.experts` out.",
        )


def _names(wanted: set[str], others: set[str]) -> tuple[str, ...]:
    """The shortest names that match all of `wanted` and none of `others`."""
    shared = {_leaf(path) for path in others}
    return tuple(sorted({path if _leaf(path) in shared else _leaf(path) for path in wanted}))


def _matches(path: str, name: str) -> bool:
    # peft's rule for a list of names.
    return path == name or path.endswith(f".{name}")


def _leaf(path: str) -> str:
    return path.rpartition(".")[2]
