"""Prefix affinity through a whole gateway: where sessions and adapters go, and what a leaving pod changes."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.replicas import Replicas, ask, until
from fixtures.stub_engine import Call

pytestmark = pytest.mark.slow

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


async def answer(call: Call) -> None:
    """A chat completion that says where it was made."""
    message = {"role": "assistant", "content": call.header("host")}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    await call.reply(json.dumps({"object": "chat.completion", "choices": choices, "usage": {}}).encode())


async def where(client: aiohttp.ClientSession, app: int, session: int, turns: int = 1, model: str = "tiny") -> str:
    """The address that answers a turn of a session."""
    said = [{"role": "user", "content": f"I am {session}"}]
    for turn in range(1, turns):
        said += [{"role": "assistant", "content": "Yes?"}, {"role": "user", "content": f"Then {turn}"}]
    messages = [{"role": "system", "content": f"You are app {app}."}, *said]
    status, body = await ask(client, model, messages=messages)
    assert status == 200, body
    return str(body["choices"][0]["message"]["content"]).partition(":")[0]


async def test_turns_of_a_session_meet_and_apps_spread(replicas: Replicas, tmp_path: Path) -> None:
    for address in ADDRESSES:
        await replicas.start(address, answer)
    async with replicas.fronted(tmp_path) as client:
        first = {app: await where(client, app, 1) for app in range(60)}
        later = {app: await where(client, app, 1, turns=3) for app in range(60)}
        assert first == later
        assert min(Counter(first.values()).values()) >= 8, "60 apps over 3 replicas"


async def test_a_gateway_that_looks_at_load_alone_fails_that(replicas: Replicas, tmp_path: Path) -> None:
    for address in ADDRESSES:
        await replicas.start(address, answer)
    turns: dict[str, Any] = {"gateway": {"port": 0, "drainTimeoutS": 1, "spreading": "least-requests"}}
    async with replicas.fronted(tmp_path, turns) as client:
        first = [await where(client, app, 1) for app in range(20)]
        assert first != [await where(client, app, 1, turns=3) for app in range(20)]


async def test_another_gateway_sends_them_to_the_same_replicas(replicas: Replicas, tmp_path: Path) -> None:
    for address in ADDRESSES:
        await replicas.start(address, answer)
    async with replicas.fronted(tmp_path / "one") as one, replicas.fronted(tmp_path / "two") as two:
        places = [(await where(one, app, 1), await where(two, app, 1)) for app in range(40)]
        assert sum(here == there for here, there in places) >= 36


async def test_one_hot_session_does_not_fill_one_replica(replicas: Replicas, tmp_path: Path) -> None:
    release = asyncio.Event()

    async def wait(call: Call) -> None:
        await release.wait()
        await answer(call)

    stubs = [await replicas.start(address, wait) for address in ADDRESSES]
    async with replicas.fronted(tmp_path) as client, asyncio.TaskGroup() as tasks:
        for _ in range(60):
            tasks.create_task(where(client, 1, 1))
        await until(lambda: sum(len(stub.asked) for stub in stubs) == 60)
        assert max(len(stub.asked) for stub in stubs) <= 1.25 * 60 / 3 + 4
        release.set()


async def test_a_leaving_replica_moves_its_own_sessions_alone(replicas: Replicas, tmp_path: Path) -> None:
    stubs = [await replicas.start(address, answer) for address in ADDRESSES]
    async with replicas.fronted(tmp_path) as client:
        before = {app: await where(client, app, 1) for app in range(60)}
        await replicas.end(stubs[1])
        after = {app: await where(client, app, 1) for app in range(60)}
        stayed = [app for app, address in before.items() if address != ADDRESSES[1]]
        assert sum(before[app] != after[app] for app in stayed) <= 2
        assert ADDRESSES[1] not in after.values()
        await replicas.start(ADDRESSES[1], answer)
        await until(lambda: _comes_to(client, ADDRESSES[1], before))
        back = {app: await where(client, app, 1) for app in range(60)}
        assert sum(before[app] != back[app] for app in before) <= 2


async def _comes_to(client: aiohttp.ClientSession, address: str, before: dict[int, str]) -> bool:
    app = next(app for app, place in before.items() if place == address)
    return await where(client, app, 1) == address


async def test_what_is_over_weighs_nothing(replicas: Replicas, tmp_path: Path) -> None:
    for address in ADDRESSES:
        await replicas.start(address, answer)
    async with replicas.fronted(tmp_path) as client:
        for app in range(300):
            await where(client, app % 100, 1)
        places = [{await where(client, app, 1) for _ in range(3)} for app in range(100)]
        assert sum(len(each) == 1 for each in places) >= 95, "none is passed over"


async def test_adapters_keep_to_their_replica(replicas: Replicas, tmp_path: Path) -> None:
    for address in ADDRESSES:
        replica = await replicas.start(address, answer)
        for number in range(6):
            replica.load(f"adapter-{number}")
    async with replicas.fronted(tmp_path) as client:
        for _ in range(20):
            await where(client, 0, 0)  # so that no adapter is all of the traffic
        seen = {number: {await where(client, 1, 1, model=f"adapter-{number}") for _ in range(3)} for number in range(6)}
        assert all(len(places) == 1 for places in seen.values())


async def test_requests_without_a_prefix_go_where_least_is_to_do(replicas: Replicas, tmp_path: Path) -> None:
    async def embed(call: Call) -> None:
        await call.reply(b'{"object": "list", "data": [], "usage": {}}')

    stubs = [await replicas.start(address, embed) for address in ADDRESSES]
    async with replicas.fronted(tmp_path) as client:
        for _ in range(9):
            async with client.post("/v1/embeddings", json={"model": "tiny", "input": "the same"}) as reply:
                assert reply.status == 200
    assert [sum(call.target == "/v1/embeddings" for call in stub.engine.calls) for stub in stubs] == [3, 3, 3]
