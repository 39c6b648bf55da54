"""The planner against vLLM's own classes, built from the publishers' configs without weights: sizes to the byte."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fixtures import engine_shapes

from freehold.core.environment.gpu import has_nvidia_gpu
from freehold.core.manifest import load_catalogue
from freehold.core.plan import cache as caching
from freehold.core.plan import compressed
from freehold.core.plan.cache import padded
from freehold.core.plan.engine_memory import gathered_tokens
from freehold.core.plan.kept import Kept
from freehold.core.plan.subject import Subject, subject_of_manifest

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(600),
    pytest.mark.skipif(has_nvidia_gpu(), reason="it puts aside what vLLM for a CPU lacks, and takes that vLLM"),
]
MODELS = ("deepseek-v4-flash", "deepseek-v4-pro", "minimax-m3")
CONTEXTS = (100, 8192, 1_000_000)
FLASH = load_catalogue().require("deepseek-v4-flash")


def subject(model: str) -> Subject:
    return subject_of_manifest(load_catalogue().require(model))


@cache
def told(model: str) -> Any:
    """By vLLM. The copy of Pro's config leaves out what its weights are kept in; it is what Flash's says."""
    assert FLASH.config is not None
    missing = {"quantization_config": FLASH.config["quantization_config"]} if model == "deepseek-v4-pro" else {}
    contexts = [str(each) for each in CONTEXTS]
    command = [sys.executable, "-P", str(Path(engine_shapes.__file__)), model, json.dumps(missing), *contexts]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout)


def pages(kept: tuple[Kept, ...]) -> Counter[tuple[int, int]]:
    """Layers by the tokens and the bytes of a block."""
    found: Counter[tuple[int, int]] = Counter()
    for each in kept:
        assert each.block is not None
        found[each.block, each.block_bytes(2, each.block)] += each.layers
    return found


def admitted(kept: tuple[Kept, ...], context: int, in_flight: int) -> int:
    return sum(each.sequence_bytes(context, 2, 1, in_flight=in_flight) for each in padded(kept))


@pytest.mark.parametrize("model", MODELS)
def test_every_layer_has_the_pages_that_vllm_gives_it(model: str) -> None:
    assert pages(subject(model).kept) == Counter((block, size) for block, size in told(model)["pages"])


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("model", MODELS)
def test_a_sequence_takes_what_vllm_sets_aside(model: str, context: int) -> None:
    by_vllm = told(model)["contexts"][str(context)]
    planned = admitted(subject(model).kept, context, told(model)["in_flight"])
    assert planned == by_vllm["sequence_bytes"]
    assert engine_shapes.ROOM / planned == pytest.approx(by_vllm["at_once"], rel=0.001)


@pytest.mark.parametrize("model", MODELS)
def test_as_many_are_taken_on_as_vllms_own_bookkeeping_takes_on(model: str) -> None:
    """Many more than it logs where layers have windows; as many where they have none."""
    in_flight, kept = told(model)["in_flight"], subject(model).kept
    held = sum(each.sequence_bytes(engine_shapes.ANSWERED, 2, 1) for each in padded(kept))
    first = admitted(kept, engine_shapes.ANSWERED, in_flight)
    planned = (engine_shapes.LITTLE_ROOM - first) // held + 1
    assert planned == pytest.approx(told(model)["taken_on"], abs=1, rel=0.05)
    if model != "minimax-m3":
        assert told(model)["taken_on"] > 4 * engine_shapes.LITTLE_ROOM / first


PLANTED: Mapping[str, Any] = {
    "SCALED_WITH": 0,
    "ALIGNED": 1,
    "BLOCK": 128,
    "WINDOW_BLOCK": 128,
    "TAIL_BLOCK": {4: 8, 128: 8},
    "INDEX_SCALED_WITH": 8,
    "STATE_BYTES": 2,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_constant_that_is_not_vllms_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, name, PLANTED[name])
    by_vllm = told("deepseek-v4-flash")
    assert pages(subject("deepseek-v4-flash").kept) != Counter((block, size) for block, size in by_vllm["pages"])


def test_an_index_of_another_width_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "BF16_BYTES", 1)
    by_vllm = told("minimax-m3")["contexts"]["8192"]["sequence_bytes"]
    assert admitted(subject("minimax-m3").kept, 8192, 0) != pytest.approx(by_vllm, rel=0.05)


def test_layers_that_are_packed_otherwise_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each on its own, without the room that narrow groups waste in wide blocks."""
    monkeypatch.setattr(caching, "packed", tuple)
    planned = admitted(subject("deepseek-v4-flash").kept, 8192, told("deepseek-v4-flash")["in_flight"])
    by_vllm = told("deepseek-v4-flash")["contexts"]["8192"]["sequence_bytes"]
    assert planned != pytest.approx(by_vllm, rel=0.05)


@pytest.mark.parametrize("model", MODELS)
def test_weights_are_what_vllm_loads(model: str) -> None:
    sizes: Mapping[str, int] = told(model)["weights"]
    planned = subject(model).weights(subject(model).precision)
    assert planned.total == pytest.approx(sum(sizes.values()), rel=0.005)
    experts = sum(size for name, size in sizes.items() if ".routed_experts." in name)
    assert planned.experts == pytest.approx(experts, rel=1e-6)


@pytest.mark.parametrize("model", ["deepseek-v4-flash", "deepseek-v4-pro"])
def test_experts_of_another_width_are_found(model: str) -> None:
    sizes: Mapping[str, int] = told(model)["weights"]
    for precision in ("fp8", "nvfp4"):
        assert subject(model).weights(precision).total != pytest.approx(sum(sizes.values()), rel=0.02)


def test_an_index_is_gathered_for_as_many_prompts_as_vllm_gathers() -> None:
    assert gathered_tokens(CONTEXTS[-1]) == told("deepseek-v4-flash")["prefill_rows"]
    assert gathered_tokens(CONTEXTS[-1]) < 40 * CONTEXTS[-1], "the factor of short contexts"
