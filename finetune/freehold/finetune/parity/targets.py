"""Whether an adapter's keys and targets fit the base: what engines pass over in silence."""

from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

from freehold.finetune.parity.contents import PEFT_PREFIX, AdapterContents

LISTED = 3
"""So many names stand in a sentence; the rest is a number."""


def prefix_cause(adapter: AdapterContents, base_modules: frozenset[str]) -> str:
    """A sentence when none of the keys names a module of the base; empty when one does."""
    if not adapter.modules:
        return "its weights file holds no LoRA tensors"
    if any(_in_base(module, base_modules) for module in adapter.modules):
        return ""
    for module in sorted(adapter.modules):
        if found := _prefixes(module, base_modules):
            there, expected = found
            return (
                f"none of its {len(adapter.modules)} updated modules is a module of the base: the keys begin with "
                f"`{there}`, and the base wants `{expected}` (found `{module}`)"
            )
    return (
        f"none of its {len(adapter.modules)} updated modules is a module of the base, not even by its last part: "
        f"{listed(adapter.modules)}"
    )


def unknown_cause(adapter: AdapterContents, base_modules: frozenset[str]) -> str:
    """A sentence when some keys name modules that the base does not have, while others fit; else empty."""
    unknown = [module for module in adapter.modules if not _in_base(module, base_modules)]
    # Engines rename modules of some models, so that names that never fit say nothing; prefix_cause speaks of those.
    if not unknown or len(unknown) == len(adapter.modules):
        return ""
    return f"the base has no {listed(unknown)}, so the engine passes these updates over"


def missing_cause(folder: Path, adapter: AdapterContents, base_modules: frozenset[str]) -> str:
    """A sentence when the config targets modules of the base for which the file holds no update; else empty."""
    updated = {module.removeprefix(PEFT_PREFIX) for module in adapter.modules}
    # Only stacks of layers that have updates: the tower for images of a model tuned on text has none.
    stacks = {_stack(module) for module in updated & base_modules}
    targeted = (module for module in _targeted(folder, base_modules) if _stack(module) in stacks)
    missing = [module for module in targeted if module not in updated]
    if not missing:
        return ""
    kinds = sorted({module.rpartition(".")[2] for module in missing})
    return (
        f"`target_modules` names {', '.join(kinds)}, but the weights file holds nothing for {len(missing)} of these "
        f"modules: {listed(missing)}"
    )


def listed(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    all_names = sorted(names)
    rest = len(all_names) - LISTED
    return ", ".join(all_names[:LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _in_base(module: str, base_modules: frozenset[str]) -> bool:
    return module.startswith(PEFT_PREFIX) and module.removeprefix(PEFT_PREFIX) in base_modules


def _stack(module: str) -> str:
    """The module's name up to the number of its layer."""
    return "".join(takewhile(lambda letter: not letter.isdigit(), module))


def _prefixes(module: str, base_modules: frozenset[str]) -> tuple[str, str] | None:
    """What stands before the longest end that the module shares with one of the base: there, and in a right key."""
    parts = module.split(".")
    for start in range(len(parts)):
        end = ".".join(parts[start:])
        for known in base_modules:
            if known == end or known.endswith(f".{end}"):
                return module.removesuffix(end), PEFT_PREFIX + known.removesuffix(end)
    return None


def _targeted(folder: Path, base_modules: frozenset[str]) -> list[str]:
    """Modules of the base that peft would give an update by this config."""
    from peft import PeftConfig
    from peft.tuners.tuners_utils import check_target_module_exists

    config = PeftConfig.from_pretrained(str(folder))
    if config.target_modules == "all-linear":
        return []  # which layers are linear is for a loaded model to tell
    if isinstance(config.target_modules, list):
        config.target_modules = set(config.target_modules)
    # An excluded module comes back as an object that is false.
    return [module for module in sorted(base_modules) if check_target_module_exists(config, module)]
