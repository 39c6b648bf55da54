"""The ledger equals the engines' own counters after a mixed load in which many clients leave early."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.models import add_artifact, make_tiny_encoder, read_files
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.serve.config import DeploymentConfig, parse_config
from freehold.serve.engines.engine import EngineState
from freehold.serve.engines.fleet import Fleet, build_fleet
from freehold.serve.gateway import GatewayServer, new_event_loop, serve_gateway
from freehold.serve.gateway.ledger import Ledger, Pricing
from freehold.serve.gateway.services import Services
from freehold.serve.state.database import Database, default_url, open_database
from freehold.serve.state.migrating import migrate

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1500)]

REQUESTS = int(os.environ.get("FREEHOLD_LEDGER_REQUESTS", "10000"))
CLIENTS = 48
LEAVING = 0.1
"""Share of the clients that close their connection while they wait."""
LONG = 120
"""Tokens that a client asks for which leaves: more than come before its patience is over."""


def pytest_asyncio_loop_factories() -> dict[str, Any]:
    return {"uvloop": new_event_loop}


@dataclass
class Scene:
    """Two real engines, a generating and an embedding one, behind a gateway with a ledger."""

    fleet: Fleet
    gateway: GatewayServer
    ledger: Ledger
    database: Database


def _config(store: Store, model: Path, encoder: Path) -> DeploymentConfig:
    add_artifact(store, "tiny", read_files(model))
    add_artifact(store, "embed", read_files(encoder))
    engine = {"probe": "off", "dtype": "float32"}
    models = {
        "tiny": {"artifact": "tiny", "engine": engine, "cost": {"gpuHour": 3600}},
        "embed": {"artifact": "embed", "engine": engine},
    }
    return parse_config({"models": models, "gateway": {"port": 0}}, "The test's config")


@pytest.fixture
async def scene(home: Path, tiny_model: Path, tmp_path: Path) -> AsyncIterator[Scene]:
    settings = Settings(home=home / "freehold", offline=True)
    store = Store(settings.store_root)
    config = _config(store, tiny_model, make_tiny_encoder(tmp_path / "encoder", scores=False))
    database = open_database(default_url(settings.home))
    migrate(database)
    fleet = build_fleet(config, settings, store)
    ledger = Ledger(database, settings.spool_root, "rep_test")
    await ledger.start()
    try:
        await fleet.start()
        await fleet.until_settled()
        assert {engine.state for engine in fleet.engines.values()} == {EngineState.READY}
        services = Services(ledger=ledger, pricing=Pricing(config))
        async with serve_gateway(fleet.engines, config.gateway, services=services) as gateway:
            yield Scene(fleet, gateway, ledger, database)
    finally:
        await fleet.stop()
        await ledger.close()
        database.close()


async def _counters(fleet: Fleet) -> dict[str, tuple[int, int]]:
    """Prompt and generated tokens that each engine has counted since it started."""
    found = {}
    async with aiohttp.ClientSession() as session:
        for name, engine in fleet.engines.items():
            async with session.get(f"{engine.base_url}/metrics") as answer:
                families = {each.name: each for each in text_string_to_metric_families(await answer.text())}
            sums = [
                int(sum(sample.value for sample in families[family].samples if sample.name.endswith("_total")))
                for family in ("vllm:prompt_tokens", "vllm:generation_tokens")
            ]
            found[name] = (sums[0], sums[1])
    return found


def _request(dice: random.Random, leaves: bool) -> tuple[str, dict[str, Any]]:
    words = " ".join(dice.choices(["one", "two", "Paris", "own", "model", "é"], k=dice.randint(1, 30)))
    messages = [{"role": "user", "content": words}]
    length: dict[str, Any] = {"max_tokens": dice.randint(1, 12), "temperature": 0}
    if leaves:
        length |= {"max_tokens": LONG, "ignore_eos": True}
    chat = {"model": "tiny", "messages": messages, **length}
    kinds: list[tuple[int, str, dict[str, Any]]] = [
        (30, "/v1/chat/completions", chat),
        (25, "/v1/chat/completions", {**chat, "stream": True}),
        (8, "/v1/chat/completions", {**chat, "stream": True, "stream_options": {"include_usage": True}}),
        (4, "/v1/chat/completions", {**chat, "max_tokens": 100_000}),  # over the context: refused
        # Which of several prompts were read before a stop, no engine tells: the ledger marks those as estimates.
        (0 if leaves else 6, "/v1/completions", {"model": "tiny", "prompt": [words, "two"], **length}),
        (6, "/v1/completions", {"model": "tiny", "prompt": words, "stream": True, **length}),
        (6, "/v1/messages", chat),
        (5, "/v1/messages", {**chat, "stream": True}),
        (8, "/v1/embeddings", {"model": "embed", "input": [words[:60], "two"]}),
        (2, "/v1/messages/count_tokens", {"model": "tiny", "messages": messages}),
    ]
    _, path, body = dice.choices(kinds, [weight for weight, _, _ in kinds])[0]
    return path, body


async def _client(url: str, numbers: list[int], tally: dict[str, int]) -> None:
    async with aiohttp.ClientSession(url) as session:
        for number in numbers:
            dice = random.Random(number)
            leaves = dice.random() < LEAVING
            path, body = _request(dice, leaves)
            patience = dice.uniform(0, 0.4) if leaves else 300
            try:
                async with asyncio.timeout(patience), session.post(path, json=body) as answer:
                    await answer.read()
                    tally[str(answer.status)] = tally.get(str(answer.status), 0) + 1
            except TimeoutError:
                tally["left"] = tally.get("left", 0) + 1


async def test_ten_thousand_requests_later_both_have_counted_the_same(scene: Scene) -> None:
    before = await _counters(scene.fleet)
    tally: dict[str, int] = {}
    loads = [list(range(first, REQUESTS, CLIENTS)) for first in range(CLIENTS)]
    await asyncio.gather(*(_client(scene.gateway.url, load, tally) for load in loads))
    await scene.gateway.gateway.settled()
    await scene.ledger.flush()
    after = await _counters(scene.fleet)
    counted = {name: (after[name][0] - before[name][0], after[name][1] - before[name][1]) for name in after}
    rows = scene.database.call(
        lambda connection: connection.execute(
            text(
                "select model, sum(prompt_tokens), sum(completion_tokens), sum(requests), sum(estimated_tokens),"
                " sum(engine_us), sum(money) from usage where endpoint not like '%count_tokens' group by model"
            )
        ).all()
    )
    ledger = {row[0]: (row[1], row[2]) for row in rows}
    print(f"\n{tally}, engines: {counted}, ledger: {ledger}")
    assert sum(tally.values()) == REQUESTS
    assert tally["left"] > REQUESTS * LEAVING / 4, "too few have left for the test to mean anything"
    assert ledger == counted
    assert {row[4] for row in rows} == {0}, "nothing had to be estimated"
    money = next(row for row in rows if row[0] == "tiny")
    assert money[6] == money[5] > 0, "at 3,600 an hour a microsecond costs a millionth"
