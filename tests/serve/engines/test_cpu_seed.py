"""A generator is turned back for a token that is thrown away, and only then; the real engine is in tests/e2e."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from freehold.serve.engines import cpu_seed

pytestmark = pytest.mark.slow


class Runner:
    """What vLLM's runner does with the generators of a step, on a CPU."""

    def __init__(self, thrown_away: list[bool]) -> None:
        generators = {row: torch.Generator().manual_seed(7) for row in range(len(thrown_away))}
        self.input_batch = SimpleNamespace(num_reqs=len(thrown_away), generators=generators)
        self.discard_request_mask = SimpleNamespace(np=[*thrown_away, True])

    def _sample(self, logits: str) -> str:
        for generator in self.input_batch.generators.values():
            torch.empty(4).exponential_(generator=generator)
        return logits

    def _bookkeeping_sync(self, output: str) -> str:
        for row, is_thrown_away in enumerate(self.discard_request_mask.np[: self.input_batch.num_reqs]):
            generator = self.input_batch.generators.get(row)
            if is_thrown_away and generator is not None:
                generator.set_offset(generator.get_offset() - 4)
        return output


def step(runner: Any) -> None:
    assert runner._bookkeeping_sync(runner._sample("logits")) == "logits"


def test_vllms_own_step_ends_the_engine() -> None:
    with pytest.raises(RuntimeError, match="CPU Generator does not use offset"):
        step(Runner([True]))


def test_a_generator_is_turned_back_where_its_token_is_thrown_away() -> None:
    mended = type("Mended", (Runner,), {})
    cpu_seed.mend(mended)
    runner = mended([True, False])
    fresh = torch.Generator().manual_seed(7).get_state()
    step(runner)
    states = {row: generator.get_state() for row, generator in runner.input_batch.generators.items()}
    assert states[0].equal(fresh), "as if nothing had been drawn"
    assert not states[1].equal(fresh), "its token is one of the answer's"


def test_a_vllm_with_other_steps_starts_and_says_what_was_not_mended(caplog: pytest.LogCaptureFixture) -> None:
    other = type("Other", (), {"_sample": Runner._sample})
    cpu_seed.mend(other)
    assert other._sample is Runner._sample
    assert "no _bookkeeping_sync: `seed` beside a long prompt" in caplog.text


def test_only_an_engine_that_asks_for_it_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip("vllm.v1.worker.gpu_model_runner", reason="vLLM is not installed")
    runner = module.GPUModelRunner
    for name in cpu_seed.STEPS:
        assert hasattr(runner, name), f"vLLM's runner has no {name} any more: look how it turns generators back"
        monkeypatch.setattr(runner, name, getattr(runner, name))
    own = runner._sample
    monkeypatch.delenv(cpu_seed.VARIABLE, raising=False)
    cpu_seed.install()
    assert runner._sample is own
    monkeypatch.setenv(cpu_seed.VARIABLE, "1")
    cpu_seed.install()
    assert runner._sample is not own
