"""An engine that takes adapters, with a stand-in for vLLM (tests/fixtures/stub_vllm); the real one: tests/e2e."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.adapters import add_base

from freehold.core.store import Artifact, Store
from freehold.serve.adapters import host as hosting
from freehold.serve.adapters.host import AdapterHost, Wanted
from freehold.serve.adapters.status import AdapterPhase, AdapterStatus
from freehold.serve.config import ProcessEngine as ProcessConfig
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.engines.process import EngineRuntime, ProcessEngine

STUB = Path(__file__).parents[2] / "fixtures" / "stub_vllm"
LIMIT_S = 60


class Bench:
    """An engine and its adapters under test, with what was reported."""

    def __init__(self, folder: Path, store: Store, base: Artifact, fault: str) -> None:
        self.lives = folder / "lives"
        self.reports: list[str] = []
        self.base = base
        env = {"PYTHONPATH": str(STUB), "STUB_LIVES": str(self.lives), "STUB_FAULT": fault}
        restart = {"backoffS": 0.05, "maxAttempts": 3}
        config = ProcessConfig.model_validate({"env": env, "restart": restart})
        runtime = EngineRuntime(Path(sys.executable), "stub 1", has_gpu=False, log=folder / "engine.log")
        self.engine = ProcessEngine("alpha", base, config, runtime, self.reports.append, 64)
        self.engines: dict[str, Engine] = {"alpha": self.engine}
        self.host = AdapterHost(self.engine, store, self.engines, self.reports.append)

    def want(self, **artifacts: Artifact | Wanted) -> None:
        self.host.want(
            {name: what if isinstance(what, Wanted) else Wanted(what.id) for name, what in artifacts.items()}
        )

    def status(self, name: str) -> AdapterStatus:
        return self.host.statuses()[name][0]

    async def settled(self, name: str) -> AdapterStatus:
        """How an adapter stands once what is wanted answers, or will not."""
        async with asyncio.timeout(LIMIT_S):
            while self.status(name).phase is AdapterPhase.LOADING:
                await asyncio.sleep(0.01)
        return self.status(name)

    async def until(self, claim: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not claim():
                await asyncio.sleep(0.01)

    async def ask(self, name: str, question: str) -> tuple[int, Any]:
        """What the engine answers to a chat with the name that requests for `name` carry now."""
        body = {"model": self.engines[name].upstream_model, "messages": [{"role": "user", "content": question}]}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.engine.base_url}/v1/chat/completions", json=body) as answer,
        ):
            return answer.status, await answer.json()

    async def die(self) -> None:
        """Make the engine end as if it had crashed."""
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.post(f"{self.engine.base_url}/die", json={"status": 1})

    @property
    def acts(self) -> list[str]:
        """What the engine was told to load and unload, in all its lives."""
        path = self.lives.with_suffix(".adapters")
        return path.read_text().splitlines() if path.is_file() else []


Start = Callable[..., Any]


@pytest.fixture
def base(store: Store) -> Artifact:
    return add_base(store)


@pytest.fixture
def start(tmp_path: Path, store: Store, base: Artifact, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A running bench; `retire_s` is how long an adapter outlives its last request."""

    @asynccontextmanager
    async def run(fault: str = "", retire_s: float = 0.0) -> AsyncIterator[Bench]:
        monkeypatch.setattr(hosting, "RETIRE_S", retire_s)
        bench = Bench(tmp_path, store, base, fault)
        await bench.engine.start()
        await bench.host.start()
        try:
            await bench.until(lambda: bench.engine.state is EngineState.READY)
            yield bench
        finally:
            await bench.host.stop()
            await bench.engine.stop()

    return run
