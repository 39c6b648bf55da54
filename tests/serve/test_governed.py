"""The whole gateway with keys, budgets, ledger and records, on both databases; only the engine is a stub."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import openai
import pytest
from fixtures.house import CHAT, MESSAGES, House, answer_three, bearer, open_house
from fixtures.stub_engine import SSE, Call

from freehold.core.errors import ConfigError
from freehold.core.settings import load_settings
from freehold.serve.config import parse_config
from freehold.serve.gateway import new_event_loop
from freehold.serve.governing import check_governance

pytestmark = pytest.mark.slow


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": new_event_loop}


Build = Callable[..., Any]


@pytest.fixture
async def build(database_url: str) -> AsyncIterator[Build]:
    """A house with one replica; keywords are top-level keys of its config."""
    async with AsyncExitStack() as stack:

        async def start(**config: Any) -> House:
            return await open_house(stack, database_url, **config)

        yield start


async def test_a_key_opens_the_door_and_only_as_far_as_its_scope(build: Build) -> None:
    house = await build(routes={"alias": {"targets": {"tiny": 1}}})
    url = house.gateways[0].url
    _, secret = await house.key(routes=["alias"])
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0)
    messages: Any = [{"role": "user", "content": "hi"}]
    assert (await client.chat.completions.create(model="alias", messages=messages)).choices[0].message.content == "aaa"
    assert [model.id async for model in client.models.list()] == ["alias"]
    with pytest.raises(openai.PermissionDeniedError, match="may not use 'tiny'"):
        await client.chat.completions.create(model="tiny", messages=messages)
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="fh-wrong").chat.completions.create(model="alias", messages=messages)
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="fh-wrong").models.list()
    await client.close()
    async with aiohttp.ClientSession(url, headers={"x-api-key": secret}) as session:
        async with session.post("/v1/messages", json={"model": "alias"}) as answer:
            assert answer.status == 200
        async with session.get("/admin/v1/keys") as answer:
            assert answer.status == 403


async def test_a_key_that_was_widened_reaches_further_at_once_on_every_replica(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.serve.gateway.keyring.KeyRing._poll", lambda ring: asyncio.sleep(3600))
    house = await build(routes={"alias": {"targets": {"tiny": 1}}})
    other = await house.replica()
    key_id, secret = await house.key(routes=["alias"])
    async with aiohttp.ClientSession(other, headers=bearer(secret)) as session:
        for status, changes in ((403, {"label": "may-leave"}), (200, {"models": ["tiny"]})):
            async with house.admin.patch(f"/admin/v1/keys/{key_id}", json=changes) as answer:
                assert answer.status == 200, await answer.text()
            async with session.post(CHAT, json={"model": "tiny", "messages": MESSAGES}) as answer:
                assert answer.status == status, await answer.text()


async def test_a_revoked_key_is_out_on_every_replica_and_its_stream_ends(build: Build) -> None:
    house = await build()
    other = await house.replica()
    key_id, secret = await house.key()

    async def endless(call: Call) -> None:
        await call.start(content_type=SSE)
        await call.chunk(b'data: {"choices":[]}\n\n')
        await call.left.wait()

    house.engines["tiny"].answer = endless
    async with aiohttp.ClientSession(other, headers=bearer(secret)) as session:
        async with session.post(CHAT, json={"model": "tiny", "stream": True}) as stream:
            await stream.content.readany()
            async with house.admin.delete(f"/admin/v1/keys/{key_id}") as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await asyncio.wait_for(stream.read(), 5)
        async with session.post(CHAT, json={"model": "tiny"}) as answer:
            assert answer.status == 401


async def test_a_budget_is_reserved_before_and_settled_after(build: Build) -> None:
    house = await build()
    _, secret = await house.key(monthly_tokens=100)
    async with aiohttp.ClientSession(house.gateways[0].url, headers=bearer(secret)) as session:
        for stream in (False, True):
            body = {"model": "tiny", "stream": stream, "max_tokens": 5, "messages": MESSAGES}
            async with session.post(CHAT, json=body) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()
        # 80 tokens are left: 7 of the prompt, which only the engine can count, and 73 of an answer just fit.
        for most, status in ((74, 429), (73, 200)):
            body = {"model": "tiny", "max_tokens": most, "messages": MESSAGES}
            async with session.post(CHAT, json=body) as answer:
                assert answer.status == status, await answer.text()
                if status == 429:
                    error = (await answer.json())["error"]
                    assert error["code"] == "insufficient_quota"
                    assert int(answer.headers["retry-after"]) > 0


async def test_who_leaves_gives_back_what_was_not_used(build: Build) -> None:
    house = await build()
    _, secret = await house.key(concurrent_requests=1, tokens_per_minute=100_000)
    house.engines["tiny"].answer = _never
    async with aiohttp.ClientSession(house.gateways[0].url, headers=bearer(secret)) as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await session.post(CHAT, json={"model": "tiny", "max_tokens": 5})
        house.engines["tiny"].answer = answer_three
        async with asyncio.timeout(10):
            while True:
                async with session.post(CHAT, json={"model": "tiny", "max_tokens": 5}) as answer:
                    if answer.status == 200:
                        assert answer.headers["x-ratelimit-limit-tokens"] == "100000"
                        break
                    assert answer.status == 429


async def _never(call: Call) -> None:
    await call.left.wait()


async def test_usage_is_reported_by_team(build: Build) -> None:
    closed = {"model": "gpt-4o-mini", "inputPrice": 1_000_000, "outputPrice": 2_000_000}
    house = await build()
    models = {
        "tiny": {
            "engine": {"kind": "remote", "baseUrl": "http://127.0.0.1:9"},
            "replaces": closed,
            "cost": {"gpuHour": 1},
        }
    }
    house.config = parse_config({"models": models, "gateway": house.config.gateway.model_dump(by_alias=True)}, "x")
    url = await house.replica()
    for team in ("red", "blue"):
        _, secret = await house.key(team=team)
        async with (
            aiohttp.ClientSession(url, headers=bearer(secret)) as session,
            session.post(CHAT, json={"model": "tiny", "stream": True}) as answer,
        ):
            assert b"usage" not in await answer.read()
    rows = {row["team"]: row for row in await house.usage("team")}
    assert {team: (row["prompt_tokens"], row["completion_tokens"]) for team, row in rows.items()} == {
        "red": (7, 3),
        "blue": (7, 3),
    }


async def test_must_stay_sends_not_a_byte_outside_when_everything_at_home_has_failed(build: Build) -> None:
    received: list[bytes] = []

    async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(b"a connection")
        received.append(await reader.read(65536))
        body = b'{"choices":[]}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    outside = await asyncio.start_server(sink, "127.0.0.1", 0)
    port = outside.sockets[0].getsockname()[1]
    cloud = {"baseUrl": f"http://127.0.0.1:{port}", "apiKeyFrom": {"env": "CLOUD_KEY"}}
    shadow = {"target": "cloud/gpt", "percent": 100}
    route = {"targets": {"tiny": 1}, "fallback": ["cloud/gpt"], "shadow": shadow, "firstByteTimeoutS": 3}
    house = await build(upstreams={"cloud": cloud}, routes={"r": route, "closed": {"targets": {"cloud/gpt": 1}}})
    _, stays = await house.key()
    _, leaves = await house.key(label="may-leave")

    async def broken(call: Call) -> None:
        call.die()

    async with aiohttp.ClientSession(house.gateways[0].url) as session:

        async def ask(path: str, model: str) -> int:
            async with session.post(path, json={"model": model, "stream": True}, headers=bearer(stays)) as answer:
                return answer.status

        for trouble in (broken, _never):
            house.engines["tiny"].answer = trouble
            for model in ("r", "closed"):
                paths = (CHAT, "/v1/completions", "/v1/embeddings", "/v1/responses")
                assert set(await asyncio.gather(*(ask(path, model) for path in paths))) <= {403, 502, 504}
        await asyncio.sleep(0.3)
        assert received == []
        async with session.post(CHAT, json={"model": "r", "secret": 1}, headers=bearer(leaves)) as answer:
            assert answer.status == 200
        assert any(b"authorization: Bearer s3cret" in data and b'"model": "gpt"' in data for data in received)
        assert not any(leaves.encode() in data for data in received), "the caller's own key stays here"
    outside.close()


def test_offline_refuses_upstreams(home: object) -> None:
    config = {
        "models": {"tiny": {"artifact": "a"}},
        "upstreams": {"cloud": {"baseUrl": "https://closed.example"}},
        "gateway": {"media": {"allowedDomains": ["images.example"]}},
    }
    parsed, settings = parse_config(config, "It"), load_settings()
    check_governance(parsed, settings, {})
    with pytest.raises(ConfigError) as caught:
        check_governance(parsed, settings.with_offline(True), {})
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "upstreams.cloud",
        "gateway.media.allowedDomains",
    ]
