"""A route with `record`, through the whole gateway: what is kept, who read it, and what operations see of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.house import CHAT, House, bearer, open_house

from freehold.core.settings import load_settings

ROUTES = {"kept": {"targets": {"tiny": 1}, "record": {}}, "not-kept": {"targets": {"tiny": 1}}}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield await open_house(stack, f"sqlite:///{tmp_path / 'gateway.db'}", routes=ROUTES)


async def _ask(house: House, secret: str, **fields: Any) -> None:
    body = {"messages": [{"role": "user", "content": "a word to keep"}], **fields}
    async with (
        aiohttp.ClientSession(house.url, headers=bearer(secret)) as session,
        session.post(CHAT, json=body) as answer,
    ):
        assert answer.status == 200
        await answer.read()
    recorder = house.services[0].recorder
    assert recorder is not None
    await asyncio.to_thread(recorder.flush, 10)


async def test_prompts_and_answers_of_a_recorded_route_are_kept_and_reading_them_is_logged(house: House) -> None:
    key_id, secret = await house.key(team="red")
    for stream in (False, True):
        await _ask(house, secret, model="kept", stream=stream)
    async with house.admin.get("/admin/v1/recordings/export", params={"route": "kept"}) as answer:
        assert answer.status == 200
        records = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert [record["request"]["messages"][0]["content"] for record in records] == ["a word to keep"] * 2
    assert [record["response"]["choices"][0]["message"]["content"] for record in records] == ["aaa", "aaa"]
    assert {(record["key_id"], record["team"], record["model"]) for record in records} == {(key_id, "red", "tiny")}
    assert records[1]["response"]["usage"]["completion_tokens"] == 3, "which the client was not shown"
    access = (load_settings().recordings_root / "access.jsonl").read_text().splitlines()
    assert [(json.loads(line)["who"], json.loads(line)["action"]) for line in access][-1] == ("env", "export")


async def test_nothing_is_kept_unless_the_route_says_so(house: House) -> None:
    _, secret = await house.key()
    for model in ("tiny", "not-kept"):
        await _ask(house, secret, model=model)
    kept = [path for path in load_settings().recordings_root.rglob("*.jsonl") if "a word to keep" in path.read_text()]
    assert kept == []


async def test_no_prompt_and_no_key_gets_anywhere_else(house: House) -> None:
    _, secret = await house.key()
    await _ask(house, secret, model="kept")
    await house.usage()
    home = load_settings().home
    holding = {
        path.relative_to(home).parts[0]
        for path in home.rglob("*")
        if path.is_file() and (b"a word to keep" in path.read_bytes() or secret.encode() in path.read_bytes())
    }
    assert holding == {"recordings"}


async def test_operations_see_what_the_services_do(house: House) -> None:
    _, secret = await house.key()
    await _ask(house, secret, model="kept")
    async with house.admin.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    assert 'freehold_records_total{result="written"} 1.0' in lines
    assert {"freehold_keys_current 1.0", "freehold_limits_alone 0.0"} <= set(lines)


async def test_acts_of_administrators_are_audited(house: House) -> None:
    key_id, secret = await house.key()
    async with house.admin.delete(f"/admin/v1/keys/{key_id}") as answer:
        assert answer.status == 200
    lines = load_settings().audit_log.read_text().splitlines()
    acts = [(line["act"], line["actor"], line["outcome"]) for line in map(json.loads, lines)]
    assert acts == [("keys.create", "env", "done"), ("keys.revoke", "env", "done")]
    assert secret not in "".join(lines)
