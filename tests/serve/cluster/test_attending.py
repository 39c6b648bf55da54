"""An attendant: ready means proven, and one that came back is proven again."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.adapters import add_adapter
from fixtures.models import add_artifact

from freehold.core.errors import NotFoundError
from freehold.core.store import Artifact, Store
from freehold.serve.engines.engine import EngineState
from freehold.serve.state.adapters import add_adapter as ask_for
from freehold.serve.state.adapters import remove_adapter
from freehold.serve.state.database import open_database
from freehold.serve.state.migrating import migrate

pytestmark = pytest.mark.slow

MakePod = Callable[..., Any]


async def test_it_is_ready_once_the_engine_is_proven(make_pod: MakePod) -> None:
    pod = make_pod()
    pod.prepare()
    async with pod.attended(version="0.32.0") as told:
        assert (await told.ask("/health"))[0] == 200
        assert "waiting for the engine" in await told.until_told("starting")
        await pod.start_engine()
        await told.until_ready()
        status, answer = await told.ask("/status")
        fingerprint = yaml.safe_load(pod.file.read_text())["fingerprint-value"]
        assert status == 200
        assert (answer["model"], answer["state"], answer["detail"]) == ("alpha", "ready", "")
        assert answer["fingerprint"] == fingerprint and answer["adapters"] == []
        assert answer["engine"]["can_abort"] is True and answer["engine"]["context_tokens"] == 256
        assert any("golden probe" in line for line in pod.reports)


async def test_another_model_under_the_name_is_never_ready(make_pod: MakePod) -> None:
    pod = make_pod()
    pod.prepare()
    pod.fault = "wrong-weights"
    async with pod.attended() as told:
        await pod.start_engine()
        assert "the golden probe refused it" in await told.until_told("failed")
        await asyncio.sleep(0.3)  # several looks later, too
        assert (await told.ask("/ready"))[0] == 503
        assert (await told.ask("/status"))[1]["state"] == "failed"


async def test_an_engine_of_other_options_is_never_ready(make_pod: MakePod, base: Artifact) -> None:
    pod = make_pod()
    pod.prepare()
    changed = make_pod(engine={"dtype": "float16"})
    changed.port, changed.base_url = pod.port, pod.base_url
    async with changed.attended(version="0.32.0") as told:
        await pod.start_engine()
        assert "started with other options than the config has" in await told.until_told("failed")


async def test_a_model_without_reference_is_served_only_where_the_config_says_so(
    make_pod: MakePod, store: Store
) -> None:
    add_artifact(store, "gamma", {"config.json": b"{}"})
    pod = make_pod(artifact="gamma")
    pod.prepare()
    async with pod.attended() as told:
        await pod.start_engine()
        assert "no golden-probe reference" in await told.until_told("failed")
    await pod.end_engine()
    off = make_pod(artifact="gamma", engine={"probe": "off"})
    off.prepare()
    async with off.attended(version="0.32.0") as told:
        await off.start_engine()
        await told.until_ready()
        assert any("served without the golden probe" in line for line in off.reports)


async def test_an_engine_that_came_back_is_proven_again(make_pod: MakePod, store: Store, base: Artifact) -> None:
    add_adapter(store, base)
    pod = make_pod(adapters={"support": {"artifact": "support"}})
    pod.prepare()
    async with pod.attended() as told:
        await pod.start_engine()
        await told.until_ready()
        await pod.end_engine()
        await told.until_told("unreachable")
        pod.fault = "wrong-weights"
        await pod.start_engine()
        await told.until_told("the golden probe refused it")
        await pod.end_engine()
        await told.until_told("unreachable")
        pod.fault = ""
        await pod.start_engine()
        await told.until_ready()
        assert [act.partition("@")[0] for act in pod.acts] == ["load support", "load support"]


async def test_an_engine_that_is_not_well_is_not_ready(make_pod: MakePod) -> None:
    pod = make_pod()
    pod.prepare()
    async with pod.attended() as told:
        await pod.start_engine()
        await told.until_ready()
        pod.lives.with_suffix(".sick").touch()
        assert "/health answers 503" in await told.until_told("unreachable")
        pod.lives.with_suffix(".sick").unlink()
        await told.until_ready()


async def test_adapters_are_loaded_before_it_is_ready_and_told(make_pod: MakePod, store: Store, base: Artifact) -> None:
    support = add_adapter(store, base)
    pod = make_pod(adapters={"support": {"artifact": "support"}})
    pod.prepare()
    async with pod.attended() as told:
        await pod.start_engine()
        await told.until_ready()
        (adapter,) = (await told.ask("/status"))[1]["adapters"]
        assert (adapter["name"], adapter["state"]) == ("support", "ready")
        assert adapter["upstream_model"] == f"support@{support.lineage.digest[:12]}"
        assert adapter["adapter"]["serving"] == support.id and adapter["fingerprint"].startswith("fh-")
    assert [act.partition("@")[0] for act in pod.acts] == ["load support"]
    async with pod.attended() as told:  # the sidecar alone is started again
        await told.until_ready()
        assert [act.partition("@")[0] for act in pod.acts] == ["load support", "unload support", "load support"]


async def test_an_adapter_that_fails_keeps_nobody_from_the_model(
    make_pod: MakePod, store: Store, base: Artifact
) -> None:
    add_adapter(store, base)
    pod = make_pod(adapters={"support": {"artifact": "support"}})
    pod.prepare()
    pod.fault = "adapter-ignored"
    async with pod.attended() as told:
        await pod.start_engine()
        await told.until_ready()
        (adapter,) = (await told.ask("/status"))[1]["adapters"]
        assert adapter["state"] == "failed" and "changes nothing" in adapter["detail"]


async def test_adapters_of_the_database_come_and_go(
    make_pod: MakePod, store: Store, base: Artifact, tmp_path: Path
) -> None:
    support = add_adapter(store, base)
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    database = open_database(url)
    migrate(database)
    pod = make_pod(adapters={}, gateway={"database": "${DATABASE}"})
    pod.prepare()
    async with pod.attended(environ={"DATABASE": url}) as told:
        await pod.start_engine()
        await told.until_ready()
        database.call(lambda connection: ask_for(connection, "alpha", "support", support.id, ()))
        await told.until(lambda _, body: [one["state"] for one in body["adapters"]] == ["ready"], "/status")
        database.call(lambda connection: remove_adapter(connection, "alpha", "support"))
        await told.until(lambda _, body: body["adapters"] == [], "/status")
    database.close()


@pytest.mark.parametrize(
    ("database", "told"),
    [
        ("sqlite:///{}/elsewhere.db", "there is no file"),
        ("${{DATABASE}}", "DATABASE is not set"),
        (None, "gateway.database names none"),
    ],
)
async def test_a_database_of_another_machine_is_not_made_here(
    make_pod: MakePod, tmp_path: Path, capsys: pytest.CaptureFixture[str], database: str | None, told: str
) -> None:
    pod = make_pod(adapters={}, gateway={"database": database and database.format(tmp_path)})
    pod.prepare()
    async with pod.attended(environ={}):
        said = capsys.readouterr().err
    assert "Adapters of the config alone are loaded" in said and told in said
    assert not (tmp_path / "elsewhere.db").exists()


async def test_one_that_leaves_takes_nothing_new(make_pod: MakePod) -> None:
    pod = make_pod()
    pod.prepare()
    async with pod.attended() as told:
        await pod.start_engine()
        await told.until_ready()
        told.attendant.is_leaving = True
        assert (await told.ask("/ready"))[1]["reason"] == "it is shutting down"
        assert (await told.ask("/status"))[1]["state"] == "draining"
        await pod.end_engine()
        async with asyncio.timeout(30):
            await told.attendant.engine.until_gone()
        assert told.attendant.engine.state is EngineState.UNREACHABLE


async def test_a_model_that_is_not_in_the_store(make_pod: MakePod, store: Store, base: Artifact) -> None:
    store.remove(base)
    with pytest.raises(NotFoundError, match="No artifact 'alpha'"):
        async with make_pod().attended():
            pass


async def test_its_artifact_is_in_use(make_pod: MakePod, store: Store, base: Artifact) -> None:
    async with make_pod().attended():
        assert store.is_in_use(base)
