"""LoRA arithmetic on a CPU, held against vLLM's own where that is right."""

import logging
from typing import Any

import pytest
import torch

from freehold.serve.engines import cpu_lora

SLOTS, RANK, WIDTH, OUT, ROWS = 3, 4, 8, 6, 7
ops: Any = pytest.importorskip("vllm.lora.ops.torch_ops.lora_ops", reason="vLLM is not installed")


@pytest.fixture(params=[3, 4], ids=["flat", "stacked"])
def weights(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor]:
    """A and B of every slot."""
    torch.manual_seed(0)
    a, b = torch.randn(SLOTS, RANK, WIDTH), torch.randn(SLOTS, OUT, RANK)
    return (a, b) if request.param == 3 else (a.unsqueeze(1), b.unsqueeze(1))


@pytest.mark.parametrize("indices", [[0, 1, 2, 1, 0, 2, 1], [2] * ROWS], ids=["mixed", "one"])
@pytest.mark.parametrize("adds", [True, False])
def test_it_is_vllms_arithmetic(weights: tuple[torch.Tensor, torch.Tensor], indices: list[int], adds: bool) -> None:
    a, b = weights
    x, chosen = torch.randn(ROWS, WIDTH), torch.tensor(indices)
    ours, theirs = torch.full((ROWS, RANK), 9.0), torch.full((ROWS, RANK), 9.0)
    cpu_lora.bgmv_shrink(x, a, ours, chosen, 0.5)
    ops.bgmv_shrink(x, a, theirs, chosen, 0.5)
    torch.testing.assert_close(ours, theirs)
    for name, more in (("bgmv_expand", ()), ("bgmv_expand_slice", (2, OUT))):
        mine, other = torch.ones(ROWS, 10), torch.ones(ROWS, 10)
        getattr(cpu_lora, name)(ours, b, mine, chosen, *more, adds)
        getattr(ops, name)(theirs, b, other, chosen, *more, adds)
        torch.testing.assert_close(mine, other)


def test_it_is_vllms_arithmetic_by_sequence(weights: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = weights
    x = torch.randn(ROWS, WIDTH)
    sequences = (torch.tensor([0, 3]), torch.tensor([3, 4]), torch.tensor([2, 0]), 2, 4, ROWS)
    ours, theirs = torch.zeros(ROWS, RANK), torch.zeros(ROWS, RANK)
    cpu_lora.FUNCTIONS["sgmv_shrink"](x, a, ours, *sequences, 2.0)
    ops.sgmv_shrink(x, a, theirs, *sequences, 2.0)
    torch.testing.assert_close(ours, theirs)
    for name, more in (("sgmv_expand", (True,)), ("sgmv_expand_slice", (1, OUT, True))):
        mine, other = torch.ones(ROWS, 10), torch.ones(ROWS, 10)
        cpu_lora.FUNCTIONS[name](ours, b, mine, *sequences, *more)
        getattr(ops, name)(theirs, b, other, *sequences, *more)
        torch.testing.assert_close(mine, other)


def test_who_asks_for_the_base_gets_no_adapter(weights: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = weights
    x, chosen, output = torch.randn(3, WIDTH), torch.tensor([-1, 1, -1]), torch.ones(3, OUT)
    buffer = torch.zeros(3, RANK)
    cpu_lora.bgmv_shrink(x, a, buffer, chosen)
    cpu_lora.bgmv_expand(buffer, b, output, chosen)
    assert output[0].tolist() == output[2].tolist() == [1.0] * OUT
    assert (output[1] != 1).any()


def test_rows_that_are_nobodys_stay_and_are_told_of(
    weights: tuple[torch.Tensor, torch.Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    output = torch.ones(5, OUT)
    with caplog.at_level(logging.WARNING):
        cpu_lora.bgmv_expand(torch.randn(5, RANK), weights[1], output, torch.tensor([0, 1]))
    assert (output == 1).all()
    assert "5 rows" in caplog.text
    cpu_lora.bgmv_expand(torch.randn(5, RANK), weights[1], output, torch.tensor([1]))
    assert (output != 1).all()


def test_only_an_engine_that_asks_for_it_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = pytest.importorskip("vllm.lora.punica_wrapper.punica_cpu")
    for name in cpu_lora.FUNCTIONS:
        assert hasattr(wrapper, name), f"vLLM's wrapper has no {name} any more: look what it calls instead"
        monkeypatch.setattr(wrapper, name, getattr(wrapper, name))
    monkeypatch.delenv(cpu_lora.VARIABLE, raising=False)
    cpu_lora.install()
    assert wrapper.bgmv_shrink is ops.bgmv_shrink
    monkeypatch.setenv(cpu_lora.VARIABLE, "1")
    cpu_lora.install()
    assert wrapper.sgmv_expand_slice is cpu_lora.FUNCTIONS["sgmv_expand_slice"]
