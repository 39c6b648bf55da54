"""Adapters that do nothing, and merged models that are not what was trained, are caught."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.models import add_artifact, read_files
from safetensors.torch import load_file, save_file

from freehold.core.errors import GateError, IntegrityError, UserError
from freehold.core.quiet import quiet_libraries
from freehold.core.store import Artifact, Store
from freehold.finetune.output import merge as merging
from freehold.finetune.output.effect import check_has_effect
from freehold.finetune.output.likeness import STORED_LIMIT, TEXTS, check_alike, logprobs
from freehold.finetune.output.merge import load_with_adapter, merge, stored_dtype
from freehold.finetune.output.saving import save_adapter


def make_adapter(base: Artifact, folder: Path, *, scale: float = 0.5) -> Path:
    """An adapter with random weights: what it does is large, and the same every time."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    with quiet_libraries():
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32),
            LoraConfig(r=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM"),
        )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=scale)
    save_adapter(model, base, folder)
    return folder


@pytest.fixture
def adapter(base: Artifact, store: Store, tmp_path: Path) -> Artifact:
    files = read_files(make_adapter(base, tmp_path / "adapter"))
    return add_artifact(store, "tuned", files, kind="adapter", parents=(base.id,), license="apache-2.0")


def test_an_adapter_that_does_something_passes(adapter: Artifact) -> None:
    check_has_effect(adapter.path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda name, tensor: tensor * 0 if "lora_B" in name else tensor, "changes nothing"),
        (lambda name, tensor: tensor * float("nan") if "layers.1.mlp" in name else tensor, "is broken"),
    ],
    ids=["zero", "nan"],
)
def test_an_adapter_of_zeros_or_nan_is_refused(adapter: Artifact, tmp_path: Path, change: Any, said: str) -> None:
    folder = tmp_path / "changed"
    folder.mkdir()
    tensors = load_file(adapter.path / "adapter_model.safetensors")
    save_file({name: change(name, tensor) for name, tensor in tensors.items()}, folder / "adapter_model.safetensors")
    with pytest.raises(IntegrityError, match=said):
        check_has_effect(folder)


def test_a_merged_model_says_what_base_and_adapter_said(adapter: Artifact, base: Artifact, store: Store) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    merged = merge(adapter, store)
    assert (merged.name, merged.lineage.kind, merged.lineage.parents) == ("tuned-merged", "model", (base.id,))
    assert merged.lineage.license == "apache-2.0"
    step = merged.lineage.steps[-1]
    assert (step.name, step.parameters["adapter"]) == ("merge", adapter.id)
    assert store.verify(merged) == []
    tokenizer = AutoTokenizer.from_pretrained(merged.path)
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(base.path).chat_template
    texts = [tokenizer.encode(text) for text in TEXTS]
    together = logprobs(load_with_adapter(base, adapter.path), texts)
    alone = logprobs(AutoModelForCausalLM.from_pretrained(base.path), texts)
    found = logprobs(AutoModelForCausalLM.from_pretrained(merged.path), texts)
    for one, other in zip(together, found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
    with pytest.raises(GateError):  # the adapter is large enough for its absence to show
        check_alike(together, alone, STORED_LIMIT["float32"], "The base")


@pytest.mark.parametrize("name", ["model.layers.1.self_attn.v_proj.weight", "lm_head.weight", "model.norm.weight"])
def test_one_scrambled_weight_keeps_a_merged_model_out_of_the_store(
    adapter: Artifact, store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write = merging.write_merged

    def write_scrambled(merged: Any, base: Artifact, dtype: str, folder: Path) -> None:
        write(merged, base, dtype, folder)
        tensors = load_file(folder / "model.safetensors")
        flat = tensors[name].flatten()
        if name == "model.norm.weight":
            flat[: len(flat) // 2] *= 1.5  # all ones: an order of them says nothing
        tensors[name] = flat[torch.randperm(len(flat), generator=torch.Generator().manual_seed(0))].view_as(
            tensors[name]
        )
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(merging, "write_merged", write_scrambled)
    with pytest.raises(GateError, match="The written model is not the model that was trained"):
        merge(adapter, store)
    assert {artifact.name for artifact in store.artifacts()} == {"tiny", "tuned"}


def test_only_adapters_with_their_own_base_are_merged(adapter: Artifact, base: Artifact, store: Store) -> None:
    with pytest.raises(UserError, match="is no adapter"):
        merge(base, store)
    store.remove(base, force=True)
    with pytest.raises(UserError, match="is not in the store"):
        merge(adapter, store)


def test_a_quantized_base_takes_no_adapter(base: Artifact, store: Store) -> None:
    files = read_files(base.path)
    folder = base.path.parent / "quantized"
    shutil.copytree(base.path, folder)
    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor.to(torch.int8) for name, tensor in tensors.items()}, folder / "model.safetensors")
    files["model.safetensors"] = (folder / "model.safetensors").read_bytes()
    files.pop("freehold.json")
    shutil.rmtree(folder)
    with pytest.raises(GateError, match="quantized"):
        stored_dtype(add_artifact(store, "small", files))
