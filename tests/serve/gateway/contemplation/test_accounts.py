"""Keys, limits, the ledger and records: a contemplation is charged for all of its parts, and for nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.council import CHAT, QUESTION, Said, Script, Speaker, answers, hangs, says
from fixtures.house import House, bearer, open_house
from fixtures.stub_engine import Call

DEBATE = {"agents": {"tiny": 2}, "judge": "tiny", "maxTokens": 40}
PARTS = 5
CLOUD = says("4")


class Governed:
    """One engine and one closed upstream, each with counters of its own, behind a gateway with keys."""

    def __init__(self, house: House, tiny: Speaker, cloud: Speaker) -> None:
        self.house = house
        self.tiny = tiny
        self.cloud = cloud

    async def ask(self, secret: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        async with (
            aiohttp.ClientSession(self.house.url, headers=bearer(secret)) as session,
            session.post(CHAT, json={"model": "council", "messages": QUESTION, **fields}) as answer,
        ):
            return answer.status, await answer.json()

    async def rows(self) -> list[dict[str, Any]]:
        """The report by model, without requests that no engine saw."""
        return [row for row in await self.house.usage("model,route") if row["model"]]

    async def until_booked(self, parts: int) -> list[dict[str, Any]]:
        rows = await self.rows()
        async with asyncio.timeout(10):
            while sum(row["requests"] for row in rows) < parts:
                await asyncio.sleep(0.02)
                rows = await self.rows()
        return rows


Build = Callable[..., Any]


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    """A governed gateway with the route `council`."""
    async with AsyncExitStack() as stack:

        async def start(contemplate: dict[str, Any], tiny: Script, cloud: Script = CLOUD, **route: Any) -> Governed:
            local, closed = Speaker("tiny", tiny), Speaker("gpt", cloud)
            await stack.enter_async_context(closed.stub.listening())
            routes = {"council": {"strategy": "contemplate", "contemplate": contemplate, **route}}
            upstreams = {"cloud": {"baseUrl": closed.stub.base_url}}
            url = f"sqlite:///{tmp_path / 'gateway.db'}"
            house = await open_house(stack, url, routes=routes, upstreams=upstreams)
            stub = house.engines["tiny"]
            stub.answer, stub.can_abort = local.stub.answer, tiny is not hangs
            return Governed(house, local, closed)

        yield start


async def test_every_part_is_a_line_of_the_route(build: Build) -> None:
    scene = await build(DEBATE, says("4", "5"))
    _, secret = await scene.house.key()
    status, answer = await scene.ask(secret)
    assert status == 200
    (row,) = await scene.until_booked(PARTS)
    assert (row["model"], row["route"], row["requests"], row["errors"]) == ("tiny", "council", PARTS, 0)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (scene.tiny.prompt, scene.tiny.completion)
    assert answer["usage"]["prompt_tokens"] == row["prompt_tokens"]
    assert answer["usage"]["completion_tokens"] == row["completion_tokens"]


def _begin_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database's clock, from the beginning of a minute: none ends between the requests of a test."""
    minute, began = time.time() // 60 * 60, time.monotonic()
    for user in ("gateway.quotas.errand", "state.allowances"):
        monkeypatch.setattr(f"freehold.serve.{user}.now", lambda _: minute + time.monotonic() - began)


async def test_the_keys_budget_is_charged_once_and_exactly(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    _begin_a_minute(monkeypatch)
    scene = await build(DEBATE, says("4", "5"))
    _, secret = await scene.house.key(monthly_tokens=100_000, tokens_per_minute=100_000, requests_per_minute=10)
    _, answer = await scene.ask(secret)
    async with (
        aiohttp.ClientSession(scene.house.url, headers=bearer(secret)) as session,
        session.post(CHAT, json={"model": "council", "messages": QUESTION}) as second,
    ):
        headers = second.headers
        await second.read()
    used = answer["usage"]["total_tokens"]
    left = int(headers["x-ratelimit-remaining-tokens"])
    assert headers["x-ratelimit-remaining-requests"] == "8", "one request each, however many parts"
    reserved = 100_000 - used - left
    assert reserved > PARTS * 256 + DEBATE["maxTokens"], "the second one's prompts and answers are held while it runs"


async def test_a_quota_that_is_too_small_is_a_429_before_anybody_is_asked(build: Build) -> None:
    scene = await build(DEBATE, says("4"))
    _, secret = await scene.house.key(monthly_tokens=300)
    status, answer = await scene.ask(secret, max_tokens=1)
    assert (status, answer["error"]["code"]) == (429, "insufficient_quota")
    assert scene.tiny.asked == []


async def test_what_one_request_of_a_single_model_may_use_is_too_little_for_all_parts(build: Build) -> None:
    """The same key, the same question: 400 tokens are enough for one answer of 20."""
    scene = await build({**DEBATE, "maxTokens": 100}, says("4"))
    _, secret = await scene.house.key(tokens_per_minute=400)
    assert (await scene.ask(secret, model="tiny", max_tokens=20))[0] == 200
    assert (await scene.ask(secret, max_tokens=20))[0] == 429


async def test_a_client_that_leaves_stops_every_part_and_pays_for_all(build: Build) -> None:
    scene = await build({**DEBATE, "agents": {"tiny": 3}, "maxTokens": 9000}, says("word " * 3000, pause_s=0.01))
    _, secret = await scene.house.key(concurrent_requests=1, tokens_per_minute=1_000_000)
    async with aiohttp.ClientSession(scene.house.url, headers=bearer(secret)) as session:
        asking = asyncio.create_task(session.post(CHAT, json={"model": "council", "messages": QUESTION}))
        async with asyncio.timeout(10):
            while scene.tiny.completion < 9:
                await asyncio.sleep(0.01)
        asking.cancel()
    (row,) = await scene.until_booked(3)
    assert len(scene.tiny.aborted) == 3
    assert (row["prompt_tokens"], row["completion_tokens"]) == (scene.tiny.prompt, scene.tiny.completion)
    assert row["estimated_tokens"] == 0
    assert set(scene.tiny.kinds()) == {"draft"}
    assert (await scene.ask(secret, model="tiny", max_tokens=1, messages=[{"role": "user", "content": "x"}]))[0] != 429


async def test_a_revoked_key_ends_all_parts(build: Build) -> None:
    scene = await build(DEBATE, says("word " * 3000, pause_s=0.01))
    key_id, secret = await scene.house.key()
    asking = asyncio.create_task(scene.ask(secret))
    async with asyncio.timeout(10):
        while scene.tiny.completion < 4:
            await asyncio.sleep(0.01)
    async with scene.house.admin.delete(f"/admin/v1/keys/{key_id}") as gone:
        assert gone.status == 200
    status, answer = await asking
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    await scene.until_booked(2)
    assert len(scene.tiny.aborted) == 2


async def test_failed_parts_are_in_the_books(build: Build) -> None:
    scene = await build({"agents": {"tiny": 2}, "mode": "majority"}, answers(500))
    _, secret = await scene.house.key()
    assert (await scene.ask(secret))[0] == 502
    (row,) = await scene.until_booked(2)
    assert (row["requests"], row["errors"], row["prompt_tokens"]) == (2, 2, 0)


async def test_a_key_that_must_stay_reaches_no_closed_model(build: Build) -> None:
    agents = {"agents": {"tiny": 2, "cloud/gpt": 1}, "mode": "majority"}
    scene = await build(agents, says("4"), says("5"))
    _, stays = await scene.house.key()
    status, answer = await scene.ask(stays, include_reasoning=True)
    assert status == 200 and scene.cloud.asked == []
    assert "Left out: cloud/gpt: this key's requests must stay here." in answer["choices"][0]["message"]["reasoning"]
    assert answer["usage"]["contemplation"]["left_out"] == ["cloud/gpt: this key's requests must stay here"]
    _, leaves = await scene.house.key(label="may-leave")
    assert (await scene.ask(leaves))[0] == 200
    ((_, body),) = scene.cloud.asked
    assert body["model"] == "gpt" and "max_completion_tokens" in body, "as OpenAI's models have it"


@pytest.mark.parametrize(
    "contemplate",
    [
        {"agents": {"tiny": 1, "cloud/gpt": 2}, "mode": "majority"},
        {"agents": {"tiny": 2}, "judge": "cloud/gpt"},
    ],
)
async def test_a_council_that_cannot_do_without_a_closed_model_is_refused(
    build: Build, contemplate: dict[str, Any]
) -> None:
    scene = await build(contemplate, says("4"))
    _, secret = await scene.house.key()
    status, answer = await scene.ask(secret)
    assert (status, answer["error"]["code"]) == (403, "must_stay")
    assert scene.tiny.asked == scene.cloud.asked == []


async def test_a_scope_is_for_the_routes_name(build: Build) -> None:
    scene = await build(DEBATE, says("4"))
    _, may = await scene.house.key(routes=["council"])
    _, may_not = await scene.house.key(models=["tiny"])
    assert (await scene.ask(may))[0] == 200
    assert (await scene.ask(may, model="tiny"))[0] == 403
    assert (await scene.ask(may_not))[0] == 403


async def test_the_record_is_what_the_client_saw(build: Build) -> None:
    scene = await build(DEBATE, says("4"), record={})
    _, secret = await scene.house.key()
    await scene.ask(secret)
    recorder = scene.house.services[0].recorder
    assert recorder is not None
    async with asyncio.timeout(10):
        while not recorder.counts.written:
            await asyncio.sleep(0.02)
    assert recorder.counts.written == 1, "and none of the parts"
    root = scene.house.settings.home / "recordings"
    (file,) = root.glob("council/*.jsonl")
    assert "It is 4." in file.read_text() and "Several drafts" not in file.read_text()


@pytest.mark.parametrize("rounds", [0, 1, 2])
@pytest.mark.parametrize("limit", [None, 3, 1000])
async def test_what_was_reserved_covers_what_is_used(build: Build, rounds: int, limit: int | None) -> None:
    """Every part writes as much as it may, a token a word; prompts count each word, so never less than a token."""

    def verbose(call: Call, kind: str) -> Said:
        return Said(" ".join(["word"] * call.json["max_tokens"]))

    scene = await build({"agents": {"tiny": 3}, "judge": "tiny", "rounds": rounds, "maxTokens": 300}, verbose)
    _, secret = await scene.house.key(tokens_per_minute=1_000_000)
    fields = {} if limit is None else {"max_tokens": limit}
    body = {"model": "council", "messages": QUESTION, **fields}
    async with (
        aiohttp.ClientSession(scene.house.url, headers=bearer(secret)) as session,
        session.post(CHAT, json=body) as answer,
    ):
        reserved = 1_000_000 - int(answer.headers["x-ratelimit-remaining-tokens"])
        used = (await answer.json())["usage"]["total_tokens"]
    assert used <= reserved
    assert used == scene.tiny.prompt + scene.tiny.completion
