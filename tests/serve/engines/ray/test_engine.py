"""The life of an engine on Ray, with stand-ins for the driver and for vLLM; the real ones: tests/e2e/test_ray.py."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from fixtures.adapters import add_adapter, add_base
from fixtures.policies import policies

from freehold.core.policy import NO_POLICY, Policies
from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.serve.adapters.host import Wanted
from freehold.serve.adapters.status import AdapterPhase
from freehold.serve.config import RayEngine as RayConfig
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.engines.process import EngineRuntime
from freehold.serve.engines.ray import engine as ray_engine
from freehold.serve.engines.ray.adapters import RayAdapters
from freehold.serve.engines.ray.engine import RayEngine

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parents[3] / "fixtures"
LIMIT_S = 60
VERSION = "0.32.0"
SUPPORT = {"support": Wanted("support", (), True)}


class Bench:
    """One engine under test, with what it reported."""

    def __init__(
        self, folder: Path, options: dict[str, Any], env: dict[str, str], adapts: bool, held: Policies = NO_POLICY
    ) -> None:
        self.wanted = folder / "wanted"
        self.lives = folder / "lives"
        self.reports: list[str] = []
        store = Store(folder / "store")
        artifact = add_base(store)
        add_adapter(store, artifact)
        stub = {"PYTHONPATH": str(FIXTURES / "stub_vllm"), "STUB_LIVES": str(self.lives)}
        env = {**stub, "STUB_WANTED": str(self.wanted), **env}
        restart = {"backoffS": 0.05, "maxAttempts": 2}
        config = RayConfig.model_validate({"kind": "ray", "env": env, "restart": restart, **options})
        runtime = EngineRuntime(Path(sys.executable), VERSION, has_gpu=False, log=folder / "run" / "ray.log")
        self.settings = Settings(home=folder)
        rank = 8 if adapts else None
        report = self.reports.append
        self.engine = RayEngine("alpha", artifact, config, runtime, store, report, self.settings, rank, held)
        self.engines: dict[str, Engine] = {"alpha": self.engine}
        self.adapters = RayAdapters(self.engine, self.engines)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                await asyncio.sleep(0.02)

    async def ready(self, replicas: int = 1) -> None:
        await self.until(
            lambda: self.engine.state is EngineState.READY and len(self.engine.running_replicas()) == replicas
        )

    async def failed(self) -> str:
        await self.until(lambda: self.engine.state in (EngineState.FAILED, EngineState.READY))
        assert self.engine.state is EngineState.FAILED
        return self.engine.detail

    def set_replicas(self, count: int) -> None:
        """What Serve runs from now on."""
        written = self.wanted.with_suffix(".new")
        written.write_text(str(count))
        written.rename(self.wanted)

    def processes(self) -> list[int]:
        return [int(line) for line in self.lives.read_text().split()] if self.lives.is_file() else []


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    monkeypatch.setattr(ray_engine, "DRIVER", FIXTURES / "stub_ray_driver.py")

    @asynccontextmanager
    async def run(
        adapts: bool = False, env: dict[str, str] | None = None, held: Policies = NO_POLICY, **options: Any
    ) -> AsyncIterator[Bench]:
        bench = Bench(tmp_path, options, env or {}, adapts, held)
        if adapts:
            bench.adapters.want(SUPPORT)
            await bench.adapters.start()
        await bench.engine.start()
        try:
            yield bench
        finally:
            await bench.adapters.stop()
            await bench.engine.stop()
            assert [pid for pid in bench.processes() if psutil.pid_exists(pid)] == [], "a process was left behind"
            assert not list((tmp_path / "run" / "ray").glob("*.json")), "the orders hold a secret"

    return run


async def test_each_replica_is_proven_before_it_begins(start: Start) -> None:
    async with start(replicas=2) as bench:
        await bench.ready(replicas=2)
        assert sum("golden probe" in line and "divergence 0.000" in line for line in bench.reports) == 2
        assert bench.engine.base_url == "http://127.0.0.1:9/freehold/alpha"
        assert bench.engine.is_spread and not bench.engine.can_abort
    assert bench.engine.state is EngineState.STOPPED


@pytest.mark.parametrize(
    ("env", "cause"),
    [
        ({"STUB_FAULT": "wrong-weights"}, "golden probe refused it: its log-probabilities are 3.000 nats"),
        ({"STUB_FAULT": "wrong-template"}, "golden probe refused it: its chat template renders"),
        ({"STUB_VERSION": "0.31.0"}, "its node has vLLM 0.31.0, and the engine environment here 0.32.0"),
        ({"STUB_SAYS": "freehold: no Ray cluster at auto: nobody there"}, "no Ray cluster at auto: nobody there"),
        ({"STUB_SAYS": "freehold: the cluster has other nodes too: 10.0.0.7"}, "the cluster has other nodes too"),
        ({"STUB_SAYS": "ModuleNotFoundError: No module named 'ray'"}, "Ray is not installed"),
        ({"STUB_SAYS": "vllm: error: unrecognized arguments: --nonsense"}, "does not accept an argument"),
        ({"STUB_STATUS": "DEPLOY_FAILED"}, "it ended with status 1"),
    ],
)
async def test_what_cannot_get_better_fails_with_its_cause(start: Start, env: dict[str, str], cause: str) -> None:
    async with start(env=env) as bench:
        assert cause in await bench.failed()
        assert bench.engine.running_replicas() == []


async def test_a_replica_that_never_comes_fails_at_the_limit_with_what_it_wants(start: Start) -> None:
    async with start(env={"STUB_FAULT": "never-ready"}, startTimeoutS=2, resources={"slot": 1}) as bench:
        detail = await bench.failed()
        assert "not ready within 2 s" in detail and "wants {'slot': 1.0}" in detail and "has left: CPU 0" in detail


async def test_a_replica_that_nobody_proved_makes_no_model_ready(start: Start) -> None:
    async with start(env={"STUB_UNASKED": "1"}, startTimeoutS=3) as bench:
        assert "not ready within 3 s: Ray Serve: running, replicas: 1 running" in await bench.failed()


async def test_lost_capacity_is_told_and_comes_back_proven(start: Start) -> None:
    async with start(replicas=2) as bench:
        await bench.ready(replicas=2)
        bench.set_replicas(1)
        await bench.ready(replicas=1)
        bench.set_replicas(0)
        await bench.until(lambda: bench.engine.state is EngineState.RESTARTING)
        assert "Ray Serve" in bench.engine.detail
        bench.set_replicas(2)
        await bench.ready(replicas=2)
        assert sum("divergence 0.000" in line for line in bench.reports) == 4


async def test_a_model_that_may_sleep_takes_requests_while_it_does(start: Start) -> None:
    async with start(autoscaling={"min": 0, "max": 1}) as bench:
        await bench.ready()
        assert bench.engine.can_abort, "there is one replica at most"
        bench.set_replicas(0)
        await bench.until(lambda: not bench.engine.running_replicas())
        await asyncio.sleep(0.3)
        assert bench.engine.state is EngineState.READY


async def test_an_adapter_is_ready_when_every_replica_has_it_and_in_those_that_come_later(start: Start) -> None:
    async with start(adapts=True, replicas=2) as bench:
        await bench.ready(replicas=2)
        support = bench.engines["support"]
        await bench.until(lambda: support.state is EngineState.READY)
        assert support.upstream_model.startswith("support@")
        assert support.base_url == bench.engine.base_url
        acts = bench.lives.with_suffix(".adapters").read_text().splitlines()
        assert acts == [f"load {support.upstream_model}"] * 2
        bench.set_replicas(3)
        await bench.ready(replicas=3)
        acts = bench.lives.with_suffix(".adapters").read_text().splitlines()
        assert len(acts) == 3, "it had it before it began"
        bench.adapters.want({})
        assert "support" not in bench.engines


async def test_an_adapter_that_cannot_be_loaded_fails_and_the_model_is_served(start: Start) -> None:
    async with start(adapts=True) as bench:
        await bench.ready()
        bench.adapters.want({**SUPPORT, "missing": Wanted("missing")})
        missing = bench.engines["missing"]
        await bench.until(lambda: missing.state is EngineState.FAILED)
        status, _ = bench.adapters.statuses()["missing"]
        assert status.phase is AdapterPhase.FAILED and "missing" in status.detail
        assert bench.engines["support"].state is EngineState.READY


async def test_an_adapter_that_a_policy_forbids_is_loaded_by_no_replica(start: Start, tmp_path: Path) -> None:
    async with start(adapts=True, held=policies(tmp_path, licenses={"allow": ["MIT"]})) as bench:
        await bench.ready()
        await bench.until(lambda: bench.engines["support"].state is EngineState.FAILED)
        status, _ = bench.adapters.statuses()["support"]
        assert "policy rule 'licenses'" in status.detail
        assert not bench.lives.with_suffix(".adapters").is_file(), "the engine never heard of it"


async def test_a_replica_without_an_adapter_that_the_others_have_may_not_begin(start: Start) -> None:
    async with start(adapts=True) as bench:
        await bench.ready()
        await bench.until(lambda: bench.engines["support"].state is EngineState.READY)
        bench.engine.want({})  # as if it could not be loaded there
        bench.set_replicas(2)
        await bench.until(lambda: any("refused: adapter support: not loaded" in line for line in bench.reports))
        assert len(bench.engine.running_replicas()) == 1


async def test_the_gate_lets_nobody_tell_or_begin_without_its_token(start: Start) -> None:
    async with start() as bench:
        await bench.ready()
        async with aiohttp.ClientSession(headers={"authorization": "Bearer guessed"}) as session:
            for path in ("/status", "/replica"):
                async with session.post(bench.engine._gate.url + path, json={}) as answer:
                    assert answer.status == 401
        orders = bench.settings.run_root / "ray" / "alpha.json"
        assert orders.stat().st_mode & 0o777 == 0o600
