"""A merged model's weights beside its base's: which tensors no merge of an adapter explains."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from freehold.finetune.parity.contents import weight_files
from freehold.finetune.parity.targets import listed

LARGEST_CHANGE = 0.1
"""Change of a tensor by the size of its base, in norms. Of an update of low rank more is believed; of what is left
without its largest quarter of singular values, not: rounding is 0.002 in bfloat16, shuffled rows are 1."""


def merge_cause(merged: Path, base: Path) -> str:
    """A sentence that names tensors which were lost, damaged or replaced on the way; empty when none is."""
    with ExitStack() as opened:
        before, after = _tensors(base, opened), _tensors(merged, opened)
        if lost := before.keys() - after.keys():
            return f"the merged model lacks {listed(lost)}, which the base has"
        found = dict(_damage(before, after))
    if not found:
        return ""
    first = sorted(found)[0]
    return f"{listed(found)} cannot be the base's plus an adapter's update ({first} {found[first]})"


def _damage(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in sorted(before):
        old, new = before[name].get_tensor(name), after[name].get_tensor(name)
        if old.shape != new.shape:
            yield name, f"has the shape {tuple(new.shape)} instead of {tuple(old.shape)}"
        elif not torch.isfinite(new).all():
            yield name, "holds NaN or infinity"
        elif old.is_floating_point():
            change = _change(old.float(), new.float())
            if not change <= LARGEST_CHANGE:
                yield name, f"changed by {change:.0%} of its size, and not by an update of low rank"


def _change(old: torch.Tensor, new: torch.Tensor) -> float:
    """How much of the change no update of low rank makes, as a share of the old tensor."""
    size, update = float(old.norm()), new - old
    share = float(update.norm()) / size if size else 0.0
    if share <= LARGEST_CHANGE or update.ndim != 2:
        return share
    rest = torch.linalg.svdvals(update)[min(update.shape) // 4 :]
    return float(rest.norm()) / size


def _tensors(folder: Path, opened: ExitStack) -> dict[str, Any]:
    """The open file of each tensor, by the tensor's name."""
    files = [opened.enter_context(safe_open(path, framework="pt")) for path in weight_files(folder)]
    return {name: file for file in files for name in file.keys()}  # noqa: SIM118
