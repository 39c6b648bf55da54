"""The life of a process engine, with a stand-in for vLLM (tests/fixtures/stub_vllm); the real one: tests/e2e."""

import asyncio
import math
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import psutil
import pytest
from fixtures.models import add_artifact

from freehold.core.store import Artifact, ProbeReference, Store
from freehold.core.store.lineage import PromptProbe, TokenProbe
from freehold.serve.config import ProcessEngine as ProcessConfig
from freehold.serve.engines.engine import EngineState
from freehold.serve.engines.process import EngineRuntime, ProcessEngine

pytestmark = pytest.mark.slow

STUB = Path(__file__).parents[2] / "fixtures" / "stub_vllm"
TOP = {5: math.log(0.9), 6: math.log(0.1)}
REFERENCE = ProbeReference(
    status="computed",
    prompts=(
        PromptProbe(
            name="capital",
            messages=({"role": "user", "content": "?"},),
            prompt_token_ids=(1, 2, 3),
            positions=(TokenProbe(token_id=5, top=TOP),),
        ),
    ),
)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    files = {"config.json": b"{}", "model.safetensors": b"w"}
    return add_artifact(Store(tmp_path / "store"), "alpha", files, probe=REFERENCE)


class Bench:
    """One engine under test, with what it reported."""

    def __init__(self, tmp_path: Path, artifact: Artifact, fault: str, options: dict[str, Any]) -> None:
        self.lives = tmp_path / "lives"
        self.reports: list[str] = []
        env = {"PYTHONPATH": str(STUB), "STUB_LIVES": str(self.lives), "STUB_FAULT": fault}
        restart = {"backoffS": 0.05, "maxAttempts": 2}
        config = ProcessConfig.model_validate({"env": env, "restart": restart, **options})
        runtime = EngineRuntime(Path(sys.executable), "stub 1", has_gpu=False, log=tmp_path / "engine.log")
        self.engine = ProcessEngine("alpha", artifact, config, runtime, self.reports.append)

    async def until(self, *states: EngineState) -> None:
        async with asyncio.timeout(60):
            while self.engine.state not in states:
                assert self.engine.state is not EngineState.FAILED, self.engine.detail
                await asyncio.sleep(0.02)

    async def die(self, status: int) -> None:
        """Make the engine end as if it had crashed."""
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.post(f"{self.engine.base_url}/die", json={"status": status})

    @property
    def starts(self) -> int:
        return len(self.lives.read_text().splitlines())

    def processes(self) -> list[int]:
        """Ids of every server and worker ever started."""
        files = (self.lives, self.lives.with_suffix(".workers"))
        return [int(line) for file in files if file.is_file() for line in file.read_text().split()]


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path, artifact: Artifact) -> Start:
    @asynccontextmanager
    async def run(fault: str = "", *, of: Artifact = artifact, **options: Any) -> AsyncIterator[Bench]:
        bench = Bench(tmp_path, of, fault, options)
        await bench.engine.start()
        try:
            yield bench
        finally:
            await bench.engine.stop()
            assert [pid for pid in bench.processes() if psutil.pid_exists(pid)] == [], "a process was left behind"

    return run


async def test_it_becomes_ready_after_the_probe_and_stops_clean(start: Start) -> None:
    async with start() as bench:
        await bench.until(EngineState.READY)
        assert bench.engine.detail == ""
        phases = [line.split(": ")[1] for line in bench.reports]
        assert phases[-1] == "golden probe"
        assert "divergence 0.000 nats" in bench.reports[-1]
        assert len(bench.processes()) == 2
    assert bench.engine.state is EngineState.STOPPED


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("wrong-weights", r"golden probe refused it: its log-probabilities are 3\.000 nats"),
        ("wrong-template", "golden probe refused it: its chat template renders the prompt 'capital' to 2 tokens"),
        ("unknown-architecture", "does not know the architecture NewForCausalLM"),
        ("out-of-memory", "the GPU ran out of memory"),
    ],
)
async def test_what_cannot_get_better_fails_at_once_with_its_cause(start: Start, fault: str, cause: str) -> None:
    async with start(fault) as bench:
        await bench.until(EngineState.FAILED, EngineState.READY)
        assert bench.engine.state is EngineState.FAILED
        assert re.search(cause, bench.engine.detail)
        assert bench.starts == 1


async def test_an_artifact_without_reference_is_refused_unless_told_otherwise(start: Start, tmp_path: Path) -> None:
    unproven = add_artifact(Store(tmp_path / "store"), "beta", {"config.json": b"{}"})
    async with start(of=unproven) as bench:
        await bench.until(EngineState.FAILED, EngineState.READY)
        assert "no golden-probe reference" in bench.engine.detail
    async with start(of=unproven, probe="off") as bench:
        await bench.until(EngineState.FAILED, EngineState.READY)
        assert bench.engine.state is EngineState.READY
        assert any("without the golden probe" in line for line in bench.reports), "it is said aloud"


async def test_an_engine_that_never_answers_fails_at_its_limit(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async with start("never-ready", startTimeoutS=1) as bench:

        def monotonic() -> float:
            return 10.0 if any("warming up" in line for line in bench.reports) else 0.0

        monkeypatch.setattr("freehold.serve.engines.process.time", SimpleNamespace(monotonic=monotonic))
        await bench.until(EngineState.FAILED)
        assert "not ready within 1 s, still warming up" in bench.engine.detail


async def test_a_taken_port_is_tried_again_elsewhere(start: Start) -> None:
    async with start("port-taken-once") as bench:
        await bench.until(EngineState.READY, EngineState.FAILED)
        assert bench.engine.state is EngineState.READY
        assert bench.starts == 2


async def test_a_crashed_engine_comes_back_until_its_attempts_are_spent(start: Start) -> None:
    async with start() as bench:
        for life in (1, 2, 3):
            await bench.until(EngineState.READY)
            assert bench.starts == life
            await bench.die(1)
            await bench.until(EngineState.RESTARTING, EngineState.STARTING, EngineState.FAILED)
        await bench.until(EngineState.FAILED)
        assert any("Restart 2 of 2" in line for line in bench.reports)
        assert "failed after 2 restart(s)" in bench.reports[-1]


async def test_a_healthy_stretch_clears_the_count(start: Start) -> None:
    options = {"restart": {"backoffS": 0.01, "maxAttempts": 1, "healthyAfterS": 0.001}}
    async with start(**options) as bench:
        for life in (1, 2, 3):
            await bench.until(EngineState.READY)
            assert bench.starts == life
            await asyncio.sleep(0.01)
            await bench.die(1)
            await bench.until(EngineState.RESTARTING, EngineState.STARTING)
        await bench.until(EngineState.READY)


async def test_the_log_keeps_every_life(start: Start, tmp_path: Path) -> None:
    async with start() as bench:
        await bench.until(EngineState.READY)
    log = (tmp_path / "engine.log").read_text()
    assert log.startswith("--- ")
    assert "--fingerprint-mode custom" in log
    assert bench.engine.fingerprint in log
