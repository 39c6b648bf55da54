"""Which parts of a model get an adapter, from its module tree alone: no weights are needed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from freehold.core.errors import RefusedError, UserError
from freehold.core.quiet import quiet_libraries
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


def skeleton(folder: Path, *, remote_code: bool = False) -> nn.Module:
    """The model of an artifact without its weights (on torch's meta device)."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with quiet_libraries(), torch.device("meta"):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=remote_code)
        model: nn.Module = AutoModelForCausalLM.from_config(config, trust_remote_code=remote_code)
    return model


def choose_targets(model: Any, recipe: Recipe) -> Targets:
    """The targets of `lora.targets` and `lora.experts` on this model.

    Raises UserError for a name that matches nothing, RefusedError for what no engine would serve.
    """
    tree = _Tree(model)
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


class _Tree:
    """What the module tree of a causal language model says about its linear layers."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.architecture = type(model).__name__
        modules: Mapping[str, nn.Module] = dict(model.named_modules())
        decoder, head = model.get_decoder(), model.get_output_embeddings()
        prefix = next(path for path, module in modules.items() if module is decoder)
        linear = [path for path, module in modules.items() if isinstance(module, nn.Linear)]
        self.routers = {path for path in modules if _is_router(path, modules)}
        self.head = {path for path in linear if modules[path] is head}
        self.outside = {path for path in linear if prefix and not path.startswith(f"{prefix}.")} - self.head
        inside = set(linear) - self.head - self.outside - self.routers
        self.experts = {path for path in inside if ".experts." in path}
        self.plain = inside - self.experts
        self.stacks = sorted({".".join(n.split(".")[-2:]) for n, p in model.named_parameters() if _is_stack(n, p)})

    @property
    def experts_only(self) -> bool:
        return not self.plain

    def remapped(self, name: str) -> bool:
        """Whether peft reads this name as that of experts or a router, as they were called before transformers 5."""
        from peft import LoraConfig
        from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers

        config = LoraConfig(target_modules=[name])
        try:
            convert_peft_config_for_transformers(config, self.model, None)
        except ValueError:  # it wants the other half of a fused pair named too
            return True
        return bool(config.target_parameters)


def _every_linear(tree: _Tree, recipe: Recipe) -> Targets:
    wanted = tree.plain | (tree.experts if recipe.lora.experts else set())
    fused = tuple(tree.stacks) if recipe.lora.experts else ()
    lost = {path for path in wanted if tree.remapped(_leaf(path))}
    notes = []
    if lost:
        # peft would put the adapter on the stacked experts instead, whatever the path before the name.
        names = ", ".join(sorted({".".join(path.split(".")[-2:]) for path in lost}))
        notes.append(f"{names} get no adapter: peft takes these names for the experts'")
    if (tree.experts or tree.stacks) and not recipe.lora.experts:
        notes.append("experts and routers get no adapter (`lora.experts` is off)")
    others = (tree.head | tree.outside | tree.routers | tree.experts | tree.plain) - (wanted - lost)
    return Targets(_names(wanted - lost, others), fused, tuple(notes))


def _named(tree: _Tree, names: Iterable[str], recipe: Recipe) -> Targets:
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
        if stacks or tree.remapped(name) or any(_matches(path, name) for path in tree.experts):
            if not recipe.lora.experts:
                raise UserError(
                    f"`lora.targets` names {name}, which are experts",
                    why="peft adapts the experts under that name, and `lora.experts` is off",
                    next_step="Leave it out, or write `lora: {experts: true}`.",
                )
            parameters += stacks or tree.stacks
        if not stacks and not tree.remapped(name):
            wanted = {path for path in known if _matches(path, name)}
            modules += _names(wanted, (known | tree.outside) - wanted)
    return Targets(tuple(dict.fromkeys(modules)), tuple(dict.fromkeys(parameters)))


def _check_known(tree: _Tree, name: str) -> None:
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


def _check_experts(tree: _Tree, recipe: Recipe) -> None:
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


def _is_router(path: str, modules: Mapping[str, nn.Module]) -> bool:
    parent, _, leaf = path.rpartition(".")
    return leaf in ("gate", "router") and f"{parent}.experts" in modules


def _is_stack(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim == 3 and ".experts." in name
