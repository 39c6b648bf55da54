"""Adapters in one engine: loaded, proven, switched, unloaded, and there again after a restart."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures.adapters import add_adapter
from fixtures.policies import policies

from freehold.core.store import Artifact, Store
from freehold.serve.adapters.host import Wanted
from freehold.serve.adapters.status import AdapterPhase
from freehold.serve.engines.engine import EngineState

pytestmark = pytest.mark.slow

Start = Callable[..., Any]
"""The fixture `start`: a context with a bench in it."""


async def test_a_wanted_adapter_is_loaded_proven_and_answers_as_an_engine(
    start: Start, store: Store, base: Artifact
) -> None:
    support = add_adapter(store, base)
    async with start() as bench:
        bench.want(support=support)
        assert bench.engines["support"].state is EngineState.STARTING, "no request may reach it before it is proven"
        status = await bench.settled("support")
        assert (status.phase, status.serving, status.detail) == (AdapterPhase.READY, support.id, "")
        engine = bench.engines["support"]
        assert (engine.state, engine.base_url) == (EngineState.READY, bench.engine.base_url)
        assert engine.upstream_model == f"support@{support.lineage.digest[:12]}"
        assert engine.fingerprint not in ("", bench.engine.fingerprint)
        assert await bench.ask("support", "0 0") == (
            200,
            {"prompt_token_ids": [100, 200, 3], "choices": [], "model": engine.upstream_model},
        )


async def test_an_adapter_that_the_engine_ignores_fails_with_the_cause_and_the_base_goes_on(
    start: Start, store: Store, base: Artifact
) -> None:
    support = add_adapter(store, base)
    async with start("adapter-ignored") as bench:
        bench.want(support=support)
        status = await bench.settled("support")
        assert status.phase is AdapterPhase.FAILED
        assert "it changes nothing: its tensors match no module" in status.detail
        assert bench.engines["support"].state is EngineState.FAILED
        assert "changes nothing" in bench.engines["support"].detail
        assert bench.engine.state is EngineState.READY
        name = f"support@{support.lineage.digest[:12]}"
        assert bench.acts == [f"load {name}", f"unload {name}"], "what is not proven does not stay"


async def test_an_accepted_adapter_is_served_though_it_changes_nothing(
    start: Start, store: Store, base: Artifact
) -> None:
    support = add_adapter(store, base, verdict=False)
    async with start("adapter-ignored") as bench:
        bench.want(support=Wanted(support.id, ("parity",)))
        assert (await bench.settled("support")).phase is AdapterPhase.READY
        assert any("served all the same, as accepted" in line for line in bench.reports), "it is said aloud"


async def test_an_adapter_without_a_reference_needs_to_be_accepted(start: Start, store: Store, base: Artifact) -> None:
    support = add_adapter(store, base, has_reference=False)
    async with start() as bench:
        bench.want(support=support)
        status = await bench.settled("support")
        assert (status.phase, "holds no parity.json" in status.detail) == (AdapterPhase.FAILED, True)
        bench.want(support=Wanted(support.id, ("parity",)))
        assert (await bench.settled("support")).phase is AdapterPhase.READY


async def test_a_damaged_adapter_is_not_loaded(start: Start, store: Store, base: Artifact) -> None:
    support = add_adapter(store, base)
    (support.path / "adapter_model.safetensors").write_bytes(b"x")
    async with start() as bench:
        bench.want(support=support)
        status = await bench.settled("support")
        assert status.phase is AdapterPhase.FAILED
        assert "is damaged: adapter_model.safetensors: sha256" in status.detail
        assert bench.acts == []


async def test_the_engines_own_refusal_is_the_status(start: Start, store: Store, base: Artifact) -> None:
    support = add_adapter(store, base, r=32)
    async with start() as bench:
        bench.engine.max_lora_rank = 128  # as if our rules were wrong: the stub was started for 64
        big = add_adapter(store, base, "big", r=128)
        bench.want(support=support, big=big)
        assert (await bench.settled("support")).phase is AdapterPhase.READY
        status = await bench.settled("big")
        assert status.phase is AdapterPhase.FAILED
        assert "LoRA rank 128 is greater than max_lora_rank 64" in status.detail


async def test_a_restarted_engine_gets_its_adapters_again_before_they_are_asked(
    start: Start, store: Store, base: Artifact
) -> None:
    one, two = add_adapter(store, base, "one"), add_adapter(store, base, "two", seed=1)
    async with start() as bench:
        bench.want(one=one, two=two)
        for name in ("one", "two"):
            assert (await bench.settled(name)).phase is AdapterPhase.READY
        life = bench.engine.life
        await bench.die()
        answered_early = False
        async with asyncio.timeout(60):
            while bench.engine.life == life or bench.engines["two"].state is not EngineState.READY:
                # Whoever is asked while the engine does not have it would answer 404.
                loaded = sum(act.startswith("load two@") for act in bench.acts)
                answered_early |= bench.engine.life > life and loaded < 2 and bench.engines["two"].state == "ready"
                await asyncio.sleep(0)
        assert not answered_early
        assert sum(act.startswith("load ") for act in bench.acts) == 4
        assert (await bench.ask("one", "0 0"))[0] == 200


async def test_an_engine_that_dies_while_it_loads_gets_the_adapter_in_its_next_life(
    start: Start, store: Store, base: Artifact
) -> None:
    support = add_adapter(store, base)
    async with start("dies-at-load-once") as bench:
        bench.want(support=support)
        await bench.until(lambda: bench.engines["support"].state is EngineState.READY)
        assert bench.engine.life == 2


async def test_a_new_artifact_takes_over_and_the_old_one_outlives_its_last_requests(
    start: Start, store: Store, base: Artifact
) -> None:
    old, new = add_adapter(store, base, "old"), add_adapter(store, base, "new", seed=1)
    async with start(retire_s=0.5) as bench:
        bench.want(support=old)
        await bench.settled("support")
        before = bench.engines["support"]
        name_before, fingerprint_before = before.upstream_model, before.fingerprint
        bench.want(support=new)
        while bench.status("support").phase is AdapterPhase.LOADING:
            assert bench.engines["support"].state is EngineState.READY, "the old one answers meanwhile"
            assert bench.status("support").serving == old.id
            await asyncio.sleep(0)
        assert bench.status("support").serving == new.id
        assert bench.engines["support"] is before, "routes hold on to the object"
        assert before.upstream_model == f"support@{new.lineage.digest[:12]}"
        assert before.fingerprint != fingerprint_before
        assert f"unload {name_before}" not in bench.acts
        await bench.until(lambda: f"unload {name_before}" in bench.acts)
        assert (await bench.ask("support", "1 0"))[0] == 200
        assert not store.is_in_use(old)
        assert store.is_in_use(new), "nobody may remove what is served"


async def test_the_old_artifact_answers_on_when_the_new_one_fails(start: Start, store: Store, base: Artifact) -> None:
    old, new = add_adapter(store, base, "old"), add_adapter(store, base, "new", use_dora=True)
    async with start() as bench:
        bench.want(support=old)
        await bench.settled("support")
        bench.want(support=new)
        status = await bench.settled("support")
        assert (status.phase, status.serving, status.wanted) == (AdapterPhase.FAILED, old.id, new.id)
        assert "DoRA" in status.detail
        assert bench.engines["support"].state is EngineState.READY
        assert (await bench.ask("support", "0 0"))[0] == 200


async def test_going_back_before_the_old_one_is_unloaded_keeps_it(start: Start, store: Store, base: Artifact) -> None:
    old, new = add_adapter(store, base, "old"), add_adapter(store, base, "new", seed=1)
    async with start(retire_s=60) as bench:
        for artifact in (old, new, old):
            bench.want(support=artifact)
            assert (await bench.settled("support")).serving == artifact.id
        assert [act for act in bench.acts if act.startswith("load")] == [
            f"load support@{old.lineage.digest[:12]}",
            f"load support@{new.lineage.digest[:12]}",
        ]
        assert (await bench.ask("support", "0 0"))[0] == 200


async def test_an_unwanted_adapter_is_gone_for_clients_at_once_and_then_from_the_engine(
    start: Start, store: Store, base: Artifact
) -> None:
    support = add_adapter(store, base)
    async with start(retire_s=0.3) as bench:
        bench.want(support=support)
        await bench.settled("support")
        bench.want()
        assert "support" not in bench.engines
        assert bench.status("support").phase is AdapterPhase.UNLOADING
        await bench.until(lambda: f"unload support@{support.lineage.digest[:12]}" in bench.acts)
        await bench.until(lambda: bench.host.statuses() == {})
        assert not store.is_in_use(support)


async def test_adapters_of_an_engine_that_is_away_are_not_ready(start: Start, store: Store, base: Artifact) -> None:
    support = add_adapter(store, base)
    async with start() as bench:
        bench.want(support=support)
        await bench.settled("support")
        await bench.die()
        await bench.until(lambda: bench.engine.state is not EngineState.READY)
        assert bench.engines["support"].state is bench.engine.state
        assert bench.status("support").phase is AdapterPhase.LOADING
        assert bench.status("support").serving == ""


async def test_an_adapter_that_a_policy_forbids_is_never_sent_to_the_engine(
    start: Start, store: Store, base: Artifact, tmp_path: Path
) -> None:
    support = add_adapter(store, base)
    async with start() as bench:
        bench.host.policies = policies(tmp_path, licenses={"allow": ["MIT"]})
        bench.want(support=Wanted(support.id, ("parity",)))
        status = await bench.settled("support")
        assert status.phase is AdapterPhase.FAILED
        assert "policy rule 'licenses'" in status.detail
        assert bench.acts == []
