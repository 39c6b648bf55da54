"""Votes over HTTP: kept, counted, and read by what evaluates and what tunes."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.console import ADMIN_KEY, House, browser_of, house

from freehold.core.dataset.reading import Scan
from freehold.core.dataset.sources.opening import open_sources
from freehold.evaluate.prompts.lines import read_prompts

pytestmark = pytest.mark.slow

MESSAGES = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Capital of France?"}]
VOTE: dict[str, Any] = {
    "messages": MESSAGES,
    "request": {"temperature": 0},
    "choices": [
        {"model": "tiny", "message": {"role": "assistant", "content": "Paris"}},
        {"model": "renamed", "message": {"role": "assistant", "content": "Lyon"}},
    ],
    "verdict": "best",
    "best": "tiny",
    "blind": True,
}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


@pytest.fixture
async def client(running: House) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_of(running, authorization=f"Bearer {ADMIN_KEY}") as made:
        yield made


async def cast(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("/admin/v1/votes", json={**VOTE, **changes})


async def test_votes_are_kept_counted_and_audited(running: House, client: httpx.AsyncClient) -> None:
    assert (await cast(client)).status_code == 201
    await cast(client, verdict="tie", best=None)
    await cast(client, best="renamed")
    told = (await client.get("/admin/v1/votes")).json()
    assert told["votes"] == 3
    assert told["data"] == [
        {"model": "renamed", "shown": 3, "won": 1, "tied": 1, "lost": 1},
        {"model": "tiny", "shown": 3, "won": 1, "tied": 1, "lost": 1},
    ]
    kept = running.home / "votes" / "votes.jsonl"
    assert kept.stat().st_mode & 0o777 == 0o600
    acts = [json.loads(line) for line in (running.home / "audit" / "audit.jsonl").read_text().splitlines()]
    assert [act["act"] for act in acts] == ["votes.cast"] * 3
    assert acts[0]["actor"] == "env" and "France" not in json.dumps(acts)


async def test_evaluate_reads_them_as_prompts(client: httpx.AsyncClient, tmp_path: Path) -> None:
    await cast(client, best="renamed")
    await cast(client)
    await cast(client, messages=[{"role": "user", "content": "Else?"}], verdict="none", best=None)
    lines = (await client.get("/admin/v1/votes/export")).text
    path = tmp_path / "votes.jsonl"
    path.write_text(lines)
    ((findings, prompt),) = list(
        read_prompts(path)
    )  # the last vote on a prompt counts, and one without a best does not
    assert not findings.has_errors and prompt is not None
    assert (prompt.expected, prompt.slices, prompt.request) == ("Paris", {"preferred": "tiny"}, {"temperature": 0})


async def test_tuning_reads_them_as_preferences(client: httpx.AsyncClient, tmp_path: Path) -> None:
    await cast(client)
    path = tmp_path / "preferences.jsonl"
    path.write_text((await client.get("/admin/v1/votes/export", params={"as": "preference"})).text)
    ((findings, example),) = list(Scan(open_sources([str(path)]))())
    assert not findings.has_errors and type(example).__name__ == "Preference"


@pytest.mark.parametrize(
    "changes",
    [
        {"best": "neither"},
        {"best": None},
        {"verdict": "tie"},
        {"choices": VOTE["choices"][:1]},
        {"choices": [VOTE["choices"][0]] * 2},
        {"messages": []},
        {"request": {"model": "tiny"}},
        {"unknown": 1},
    ],
)
async def test_votes_that_say_nothing_are_refused(
    running: House, client: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    assert (await cast(client, **changes)).status_code == 400
    assert not (running.home / "votes").exists()


async def test_a_vote_too_large_is_refused_and_audited(
    running: House, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.serve.votes.box.MAX_VOTE_BYTES", 100)
    refused = await cast(client)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "vote_too_large")
    act = json.loads((running.home / "audit" / "audit.jsonl").read_text())
    assert act["outcome"] == "refused"


async def test_viewers_vote_and_count_but_read_no_prompts(running: House) -> None:
    for role, casts, exports in (("app", 403, 403), ("viewer", 201, 403), ("operator", 201, 200)):
        async with browser_of(running, authorization=f"Bearer {running.key(role)}") as asking:  # type: ignore[arg-type]
            assert (await cast(asking)).status_code == casts, role
            assert (await asking.get("/admin/v1/votes/export")).status_code == exports, role
