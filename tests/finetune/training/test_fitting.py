"""What fits into memory, by the estimate; and what running out of it says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from freehold.core.errors import EnvironmentProblem, UserError
from freehold.core.memory import cgroup_room
from freehold.core.model.loading import load_model, skeleton
from freehold.core.store import Artifact
from freehold.finetune.model.adapter import lora_config
from freehold.finetune.model.footprint import Footprint, footprint
from freehold.finetune.model.precision import Precision
from freehold.finetune.recipe import Recipe
from freehold.finetune.targets import choose_targets
from freehold.finetune.training.first_step import memory_explained
from freehold.finetune.training.fitting import Fit, fit

FLOAT32 = Precision("cpu", "float32", False, "for this test")
TAKEN = Footprint(
    base=1000,
    trained=100,
    per_token=10,
    per_token_checkpointed=2,
    per_learnt_token=1,
    libraries=0,
    trained_parameters=1,
    parameters=10,
)
LENGTHS = np.array([10, 100, 50])
LEARNT = np.array([5, 20, 10])


def recipe(**training: Any) -> Recipe:
    workers = training.pop("workers", 1)
    said = {"model": "m", "data": {"train": ["f"]}, "training": {"batchSize": 8, **training}}
    return Recipe.model_validate(said | {"scale": {"workers": workers}})


def fitted(free: int, **training: Any) -> Fit:
    return fit(recipe(**training), LENGTHS, LEARNT, TAKEN, free)


@pytest.mark.parametrize(
    ("free", "size", "checkpointing"),
    [
        (14000, 8, False),  # 1100 + 1.3 × 8 × 1020 = 11708, 90 % of 14000 is 12600
        (7500, 4, False),  # 1100 + 1.3 × 4 × 1020 = 6404
        (2750, 1, False),  # 1100 + 1.3 × 1020 = 2426
        (2550, 4, True),  # with recomputation 1100 + 1.3 × 4 × 220 = 2244
    ],
)
def test_the_micro_batch_is_as_large_as_fits(free: int, size: int, checkpointing: bool) -> None:
    found = fitted(free)
    assert (found.micro_batch_size, found.gradient_checkpointing) == (size, checkpointing)
    assert found.needed_bytes <= 0.9 * free


def test_recomputation_is_used_only_where_it_must_be() -> None:
    assert fitted(14000, gradientCheckpointing="on").gradient_checkpointing
    with pytest.raises(EnvironmentProblem, match="does not fit") as refused:
        fitted(2550, gradientCheckpointing="off")
    assert "gradientCheckpointing: auto" in refused.value.next_step


def test_what_does_not_fit_says_what_to_change() -> None:
    with pytest.raises(EnvironmentProblem, match="does not fit") as refused:
        fitted(1200)
    assert "quantization: nf4" in refused.value.next_step
    with pytest.raises(EnvironmentProblem) as refused:
        fitted(1200, quantization="nf4")
    assert "overLong: split" in refused.value.next_step


def test_a_step_is_shared_evenly() -> None:
    assert fitted(14000, workers=2).micro_batch_size == 4
    with pytest.raises(UserError, match="cannot be shared by 3 workers"):
        fitted(14000, workers=3)
    with pytest.raises(UserError, match="does not divide") as refused:
        fitted(14000, microBatchSize=3)
    assert "1, 2, 4, 8" in refused.value.next_step


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: not enough memory: you tried to allocate"
        ),
    ],
    ids=["cuda", "python", "cpu"],
)
def test_running_out_of_memory_ends_with_the_setting_to_change(error: BaseException) -> None:
    with (
        pytest.raises(EnvironmentProblem, match="Out of memory at 8 examples") as explained,
        memory_explained(recipe(), 8, 100),
    ):
        raise error
    assert "training.microBatchSize: 4" in explained.value.next_step
    assert "--resume" in explained.value.next_step


def test_other_errors_are_bugs_and_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_explained(recipe(), 8, 100):
        raise RuntimeError("shapes do not match")


def test_the_estimate_is_near_what_autograd_keeps(base: Artifact) -> None:
    """Activations: counted on a real forward pass of another length than the trace's."""
    from peft import get_peft_model

    tokens, rows = 100, 3
    model = skeleton(base.path)
    config = lora_config(recipe(), choose_targets(model, recipe()))
    taken = footprint(model, config, FLOAT32)
    real = get_peft_model(load_model(base, "float32", "cpu"), config).train()
    kept: dict[int, Any] = {}
    own = {parameter.untyped_storage()._cdata for parameter in real.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    ids = torch.zeros((rows, tokens), dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = real(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, logits_to_keep=1)
    found = sum(storage.nbytes() for storage in kept.values())
    del output
    assert found <= taken.per_token * tokens * rows <= 1.35 * found
    assert taken.trained_parameters == sum(p.numel() for p in real.parameters() if p.requires_grad)
    assert taken.base == sum(p.numel() * 4 for p in real.parameters() if not p.requires_grad)


def test_a_container_has_what_its_limit_leaves(tmp_path: Path) -> None:
    assert cgroup_room(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert cgroup_room(tmp_path) == 450
    (tmp_path / "memory.max").write_text("max\n")
    assert cgroup_room(tmp_path) is None
