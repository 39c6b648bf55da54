"""Models unloaded and loaded while a real `freehold serve` runs; its engines are the stub of vLLM."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import yaml
from fixtures.adapters import add_base
from fixtures.house import ADMIN, ADMIN_SECRET
from fixtures.journeys import Running, freehold, running

from freehold.core.errors import RefusedError
from freehold.core.store import Store
from freehold.serve.config import DeploymentConfig
from freehold.serve.engines.mirrored import MirroredEngine, view_of
from freehold.serve.engines.remote import RemoteEngine
from freehold.serve.loading.desk import ModelDesk
from freehold.serve.state.database import Database

pytestmark = pytest.mark.slow

STUB = Path(__file__).parents[2] / "fixtures" / "stub_vllm"
LIMIT_S = 60.0
MODELS = "/admin/v1/models"


@dataclass
class Served:
    """A deployment of two models, `alpha` and `beta`."""

    process: Running
    url: str
    home: Path

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        # A connection of its own each time: it may land on either worker.
        async with (
            aiohttp.ClientSession(self.url, headers=ADMIN) as client,
            client.request(method, path, **more) as answer,
        ):
            return answer.status, await answer.json()

    async def chat(self, model: str) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "?"}]}
        return (await self.ask("POST", "/v1/chat/completions", json=body))[0]

    async def until(self, state: str, model: str = "alpha") -> dict[str, Any]:
        """The engine as it stands once every worker says that it is so."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                seen = [(await self.ask("GET", "/admin/v1/engines"))[1]["data"] for _ in range(12)]
                engines = [next(each for each in one if each["name"] == model) for one in seen]
                if {engine["state"] for engine in engines} == {state}:
                    return dict(engines[0])
                await asyncio.sleep(0.05)

    def lives(self, model: str) -> list[int]:
        """Process ids of its engines, each with its worker's."""
        files = (self.home / f"{model}.lives", self.home / f"{model}.workers")
        return [int(line) for path in files if path.is_file() for line in path.read_text().split()]

    def runs(self, model: str) -> bool:
        return any(psutil.pid_exists(pid) for pid in self.lives(model))

    @property
    def busy(self) -> Path:
        """While there is such a file, the engine of alpha says that a request runs."""
        return self.home / "alpha.busy"


Start = Callable[[], AbstractAsyncContextManager[Served]]


@pytest.fixture
def start(home: Path, database_url: str) -> Start:
    """One process on SQLite, two workers on PostgreSQL."""
    store = Store(home / "store")
    models = {}
    for name in ("alpha", "beta"):
        env = {"PYTHONPATH": str(STUB), "STUB_LIVES": str(home / f"{name}.lives")}
        models[name] = {
            "artifact": add_base(store, name).id,
            "engine": {"env": env, "restart": {"backoffS": 0.1, "maxAttempts": 1}},
        }
    gateway = {"port": 0, "auth": "keys", "adminKeyFrom": {"env": "ADMIN"}, "database": database_url}
    gateway |= {"workers": 1 if database_url.startswith("sqlite") else 2, "drainTimeoutS": 30}
    (home / "freehold.yaml").write_text(yaml.safe_dump({"models": models, "gateway": gateway}))

    @asynccontextmanager
    async def begin() -> AsyncIterator[Served]:
        env = {"ADMIN": ADMIN_SECRET, "FREEHOLD_HOME": str(home)}
        with running(*freehold("serve", str(home / "freehold.yaml")), env=env) as process:
            url = (await asyncio.to_thread(process.until, r"Ready after .* at (\S+)/v1", LIMIT_S))[1]
            yield Served(process, url, home)

    return begin


async def test_a_model_leaves_the_machine_and_comes_back(start: Start) -> None:
    async with start() as served:
        status, body = await served.ask("POST", f"{MODELS}/gamma/unload")
        assert (status, body["error"]["message"]) == (404, "No model 'gamma'. Models: alpha, beta.")
        assert await served.chat("alpha") == 200
        served.busy.touch()
        status, shown = await served.ask("POST", f"{MODELS}/alpha/unload")
        assert (status, shown["name"], shown["can_unload"]) == (200, "alpha", True)
        await served.until("draining")
        assert await served.chat("alpha") == 503, "nothing new is let in"
        await asyncio.sleep(1)
        assert served.runs("alpha"), "what runs may end first"
        served.busy.unlink()
        shown = await served.until("unloaded")
        assert shown["detail"] == "env unloaded it" and not served.runs("alpha")
        assert (await served.ask("GET", "/ready"))[0] == 200, "it is as somebody wants it"
        assert [await served.chat(model) for model in ("alpha", "beta")] == [503, 200]
        await served.ask("POST", f"{MODELS}/alpha/load")
        await served.until("ready")
        assert await served.chat("alpha") == 200
        acts = [json.loads(line) for line in (served.home / "audit" / "audit.jsonl").read_text().splitlines()]
        assert [(act["act"], act["target"], act["outcome"]) for act in acts] == [
            ("models.unload", "gamma", "refused"),
            ("models.unload", "alpha", "done"),
            ("models.load", "alpha", "done"),
        ]


async def test_it_stays_away_over_a_restart(start: Start) -> None:
    async with start() as served:
        await served.ask("POST", f"{MODELS}/alpha/unload")
        await served.until("unloaded")
    before = served.lives("alpha")
    async with start() as served:
        assert (await served.until("unloaded"))["detail"] == "env unloaded it"
        assert await served.chat("beta") == 200
        assert served.lives("alpha") == before, "its engine was not even started"
        await served.ask("POST", f"{MODELS}/alpha/load")
        await served.until("ready")


async def test_a_failed_engine_is_started_anew(start: Start) -> None:
    async with start() as served:
        for life in (1, 2):  # it is started again once
            async with asyncio.timeout(LIMIT_S):
                while len(pids := (served.home / "alpha.lives").read_text().split()) < life:
                    await asyncio.sleep(0.05)
            await served.until("ready")
            psutil.Process(int(pids[-1])).kill()
        await served.until("failed")
        await served.ask("POST", f"{MODELS}/alpha/unload")
        await served.until("unloaded")
        await served.ask("POST", f"{MODELS}/alpha/load")
        await served.until("ready")
        assert await served.chat("alpha") == 200


def test_engines_of_others_stay_as_they_are(database: Database) -> None:
    models = {"far": {"engine": {"kind": "remote", "baseUrl": "http://127.0.0.1:9"}}}
    config = DeploymentConfig.model_validate({"models": models})
    served = config.models["far"]
    engine = MirroredEngine(view_of(RemoteEngine("far", served.engine)))  # type: ignore[arg-type]
    for runs_engines, why in ((True, "its engine is of kind remote"), (False, "its engine is a pod of its own")):
        desk = ModelDesk(database, config, {"far": engine}, runs_engines=runs_engines)
        with pytest.raises(RefusedError, match=why):
            desk.unload("far", "env")
        with pytest.raises(RefusedError, match=why):
            desk.load("far")
