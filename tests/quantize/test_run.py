"""Each method makes an artifact of a real, tiny model with the real tool, and records what was done."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from fixtures.journeys import all_gone
from fixtures.models import add_artifact, read_files
from safetensors import safe_open
from safetensors.torch import load, save

from freehold.core.model.tensors import read_tensors
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.quantize.methods.registry import METHODS
from freehold.quantize.preparing import Request, prepare
from freehold.quantize.run import quantize
from freehold.quantize.tools.auto_round import finished

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first may have to make an environment

SAMPLES, LENGTH = 4, 32


def request_of(method: str, **fields: object) -> Request:
    return Request(METHODS[method], ("neutral",), SAMPLES, LENGTH, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_makes_an_artifact(name: str, base: Artifact, store: Store, settings: Settings) -> None:
    method = METHODS[name]
    request = request_of(name, iterations=1 if method.tool == "auto-round" else None)
    estimated = prepare(base, request, store).needed.host
    made = quantize(base, request, store, settings)

    assert (made.lineage.name, made.lineage.parents) == (f"tiny-{name}", (base.id,))
    assert store.get(made.id).lineage == made.lineage
    (step,) = made.lineage.steps
    assert step.name == "quantize"
    assert step.parameters["method"] == name
    assert 100 << 20 < step.parameters["peak_bytes"] < estimated
    assert step.versions["freehold"]
    assert ("calibration" in step.parameters) == method.calibrates
    if method.calibrates:
        assert step.parameters["calibration"]["samples"] == SAMPLES
        assert step.parameters["calibration"]["sequence_length"] == LENGTH

    config = json.loads((made.path / "config.json").read_bytes())
    assert config["quantization_config"]
    tensors = read_tensors(made.path)
    assert tensors["lm_head.weight"].dtype in ("BF16", "F32", "F16")
    assert "model.layers.1.mlp.up_proj.weight" not in tensors or tensors["model.layers.1.mlp.up_proj.weight"].dtype in (
        "I8",
        "F8_E4M3",
        "U8",
    )
    for kept in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        assert (made.path / kept).read_bytes() == (base.path / kept).read_bytes()
    _same_embedding(made, base)


def _same_embedding(made: Artifact, base: Artifact) -> None:
    with safe_open(base.path / "model.safetensors", "pt") as stored:
        before = stored.get_tensor("model.embed_tokens.weight")
    (shard,) = [path for path in made.path.glob("*.safetensors") if _holds(path, "model.embed_tokens.weight")]
    with safe_open(shard, "pt") as stored:
        after = stored.get_tensor("model.embed_tokens.weight")
    assert (before.float() - after.float()).abs().max() < 2e-3  # stored in 16 bits


def _holds(path: Path, name: str) -> bool:
    with safe_open(path, "pt") as stored:
        return name in stored.keys()  # noqa: SIM118  (it is no mapping)


def test_work_in_32_bits_leaves_none_behind_and_scales_are_searched(
    tiny_model: Path, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor slow in 16 bits: weights that are kept and scales of groups come out as narrow as the base."""
    monkeypatch.setattr("freehold.quantize.preparing.cpu_has_bfloat16", lambda: False)
    files = read_files(tiny_model)
    files["model.safetensors"] = save(
        {name: each.bfloat16() for name, each in load(files["model.safetensors"]).items()}
    )
    files["config.json"] = json.dumps(json.loads(files["config.json"]) | {"dtype": "bfloat16"}).encode()
    narrow = add_artifact(store, "narrow", files, license="mit")
    assert prepare(narrow, request_of("int4"), store).dtype == "float32"
    made = quantize(narrow, request_of("int4"), store, settings)
    tensors = read_tensors(made.path)
    assert "BF16" in {tensor.dtype for tensor in tensors.values()}
    assert "F32" not in {tensor.dtype for tensor in tensors.values()}
    config = json.loads((made.path / "config.json").read_bytes())["quantization_config"]
    weights = config["config_groups"]["group_0"]["weights"]
    assert (weights["num_bits"], weights["group_size"], weights["observer"]) == (4, 64, "imatrix_mse")


QUANTIZE = """
import sys
from pathlib import Path
from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.quantize.methods.registry import METHODS
from freehold.quantize.preparing import Request
from freehold.quantize.run import quantize
home, base, method, name = sys.argv[1:]
settings = Settings(home=Path(home))
store = Store(settings.store_root)
quantize(store.get(base), Request(METHODS[method], ("neutral",), 4, 32, iterations=20, name=name), store, settings)
"""


def _kill_when(arguments: list[str], seen: Callable[[], bool]) -> None:
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not seen():
        assert time.monotonic() < deadline
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.01)
    tools = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert all_gone(tools)


LAYERS = 6
"""Some are left to do when the first is seen to be finished."""


@pytest.fixture
def deep(tiny_model: Path, store: Store, tmp_path: Path) -> Artifact:
    """The tiny model with more layers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    folder = shutil.copytree(tiny_model, tmp_path / "deep")
    config = LlamaConfig.from_pretrained(tiny_model, num_hidden_layers=LAYERS)
    LlamaForCausalLM(config).save_pretrained(folder)
    return add_artifact(store, "deep", read_files(folder), license="apache-2.0")


def test_a_killed_run_goes_on_after_its_finished_layers(
    deep: Artifact, store: Store, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """The first layer is the very one that was written before the kill, and the result is what it would be."""
    arguments = [sys.executable, "-c", QUANTIZE, str(settings.home), deep.id, "int4-autoround"]
    _kill_when([*arguments, "killed"], lambda: any(store.root.rglob("state/layers/*/resume_manifest.json")))
    (order,) = store.root.rglob("state/order.json")
    done = len(finished(order.parent))
    assert 1 <= done < LAYERS
    _mark_first_layer(store)
    subprocess.run([*arguments, "killed"], check=True)
    assert f"An earlier run was interrupted: going on after {done} layers." in capfd.readouterr().err
    subprocess.run([*arguments, "whole"], check=True)
    made, whole = store.get("killed"), store.get("whole")
    assert sorted(_is_marked(path) for path in made.path.glob("*.safetensors")) == [*[False] * LAYERS, True]
    assert (made.path / "config.json").read_bytes() == (whole.path / "config.json").read_bytes()
    expected, found = _tensors(whole), _tensors(made)
    assert found.keys() == expected.keys()
    assert all(found[name].equal(tensor) for name, tensor in expected.items())


FIRST = "model.layers.0.mlp.up_proj.qweight"
MARK = {"format": "pt", "written": "before the kill"}


def _mark_first_layer(store: Store) -> None:
    """In the file's metadata, which a tool that rewrites it keeps; its time it would not."""
    for path in store.root.rglob("state/**/model-shard-00001*.safetensors"):
        kept = load(path.read_bytes())
        assert FIRST in kept
        path.write_bytes(save(kept, MARK))
        return
    raise AssertionError("no layer was kept")


def _is_marked(path: Path) -> bool:
    with safe_open(path, "pt") as stored:
        return bool(stored.metadata() == MARK)


def _tensors(artifact: Artifact) -> dict[str, Any]:
    return {
        name: tensor for path in artifact.path.glob("*.safetensors") for name, tensor in load(path.read_bytes()).items()
    }


def test_a_run_that_kept_no_layer_says_that_it_starts_again(
    base: Artifact, store: Store, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = [sys.executable, "-c", QUANTIZE, str(settings.home), base.id, "int8", "again"]
    _kill_when(arguments, lambda: any(store.root.rglob("state/order.json")))
    subprocess.run(arguments, check=True)
    assert "interrupted: no layer was finished, so it starts again." in capfd.readouterr().err
    assert store.get("again").lineage.steps[-1].parameters["method"] == "int8"
