"""Two `freehold serve` processes on one PostgreSQL, one of them with two workers, each with an engine of its own."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import yaml
from fixtures.adapters import add_adapter, add_base
from fixtures.house import ADMIN, ADMIN_SECRET
from fixtures.journeys import Running, freehold, running

from freehold.core.store import Artifact, Store

pytestmark = pytest.mark.slow

STUB = Path(__file__).parents[2] / "fixtures" / "stub_vllm"
LIMIT_S = 60.0


class Replica:
    """One of them."""

    def __init__(self, process: Running, url: str) -> None:
        self.process = process
        self.url = url

    async def chat(self, model: str) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "?"}]}
        # A connection of its own each time: it may land on either worker.
        async with (
            aiohttp.ClientSession(self.url, headers=ADMIN) as client,
            client.post("/v1/chat/completions", json=body) as answer,
        ):
            return answer.status

    async def always(self, model: str, status: int) -> None:
        """Every worker answers with this status, within the limit."""
        async with asyncio.timeout(LIMIT_S):
            while {await self.chat(model) for _ in range(8)} != {status}:
                await asyncio.sleep(0.05)

    async def admin(self, method: str, path: str = "", **more: Any) -> Any:
        async with (
            aiohttp.ClientSession(self.url, headers=ADMIN) as client,
            client.request(method, f"/admin/v1/models/alpha/adapters{path}", **more) as answer,
        ):
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def state(self, name: str, wanted: str) -> dict[str, Any]:
        """How an adapter stands, as soon as that is so on every replica."""
        async with asyncio.timeout(LIMIT_S):
            while (shown := await self.admin("GET", f"/{name}"))["state"] != wanted:
                await asyncio.sleep(0.05)
        return dict(shown)


@pytest.fixture
async def replicas(home: Path, postgres_url: str) -> AsyncIterator[tuple[Replica, Replica]]:
    store = Store(home / "store")
    base = add_base(store)
    async with AsyncExitStack() as stack:
        found = []
        for number, workers in ((1, 2), (2, 1)):
            own = home / f"replica-{number}"
            own.mkdir()
            (own / "store").symlink_to(store.root)
            engine = {"env": {"PYTHONPATH": str(STUB), "STUB_LIVES": str(own / "lives")}, "restart": {"backoffS": 0.1}}
            models = {"alpha": {"artifact": base.id, "engine": engine, "adapters": {}}}
            gateway = {"port": 0, "auth": "keys", "adminKeyFrom": {"env": "ADMIN"}, "database": postgres_url}
            gateway |= {"workers": workers, "drainTimeoutS": 1}
            (own / "freehold.yaml").write_text(yaml.safe_dump({"models": models, "gateway": gateway}))
            env = {"ADMIN": ADMIN_SECRET, "FREEHOLD_HOME": str(own)}
            process = stack.enter_context(running(*freehold("serve", str(own / "freehold.yaml")), env=env))
            url = (await asyncio.to_thread(process.until, r"Ready after .* at (\S+)/v1", LIMIT_S))[1]
            found.append(Replica(process, url))
        yield found[0], found[1]


def _adapter(home: Path, name: str, seed: int) -> Artifact:
    store = Store(home / "store")
    base = store.get("alpha")
    return add_adapter(store, base, name, seed=seed)


async def test_an_adapter_comes_and_goes_on_every_worker_of_every_replica(
    home: Path, replicas: tuple[Replica, Replica]
) -> None:
    one, two = replicas
    support = _adapter(home, "support", 1)
    await one.admin("POST", json={"name": "support", "artifact": support.id})
    shown = await two.state("support", "ready")
    assert [replica["serving"] for replica in shown["replicas"]] == [support.id] * 2
    await one.always("support", 200)
    await two.always("support", 200)
    # An engine is killed: its replica loads the adapter again, the other one never stops answering.
    engine = next(
        p for p in one.process.descendants() if "--enable-lora" in p.cmdline() and "guard" not in str(p.cmdline())
    )
    os.kill(engine.pid, signal.SIGKILL)
    await asyncio.to_thread(psutil.wait_procs, [engine], 30)
    await two.always("support", 200)
    await one.always("support", 200)
    await two.admin("DELETE", "/support")
    await one.always("support", 404)
    await two.always("support", 404)


async def test_a_failure_on_one_replica_is_seen_from_the_other(home: Path, replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    support = _adapter(home, "support", 1)
    await one.admin("POST", json={"name": "support", "artifact": support.id})
    await one.state("support", "ready")
    damaged = _adapter(home, "damaged", 2)
    (damaged.path / "adapter_model.safetensors").write_bytes(b"x")
    await two.admin("POST", json={"name": "support", "artifact": damaged.id})
    shown = await one.state("support", "failed")
    assert "is damaged" in shown["detail"]
    for replica in replicas:
        assert await replica.chat("support") == 200, "what answered before goes on"
