"""`freehold adapters`, through the real group, on a data folder of its own; gateways are what they have reported."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.adapters import add_adapter, add_base
from typer.testing import CliRunner, Result

from freehold.core.errors import EngineError, NotFoundError, RefusedError, UserError
from freehold.core.settings import load_settings
from freehold.core.store import Artifact, Store
from freehold.serve.cli.adapters import app
from freehold.serve.state.adapters import AdapterReport, list_adapters, write_reports
from freehold.serve.state.database import default_url, open_database
from freehold.serve.state.migrating import migrate


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a deployment of one model that takes adapters."""
    monkeypatch.chdir(tmp_path)
    models = {"alpha": {"artifact": "alpha", "adapters": {}}, "beta": {"artifact": "alpha"}}
    (tmp_path / "freehold.yaml").write_text(yaml.safe_dump({"models": models}))
    return tmp_path


@pytest.fixture
def support() -> Artifact:
    store = Store(load_settings().store_root)
    return add_adapter(store, add_base(store))


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def report(name: str, wanted: str = "", phase: str = "ready", detail: str = "") -> None:
    """What one gateway says."""
    database = open_database(default_url(load_settings().home))
    migrate(database)
    told = AdapterReport("host-1", "alpha", name, wanted, phase, detail, "", "", False)
    database.call(lambda connection: write_reports(connection, "host-1", [told]))
    database.close()


def asked_for() -> list[tuple[str, str, tuple[str, ...]]]:
    database = open_database(default_url(load_settings().home))
    found = database.call(list_adapters)
    database.close()
    return [(record.name, record.artifact, record.accept) for record in found]


def acts() -> list[dict[str, Any]]:
    return [json.loads(line) for line in load_settings().audit_log.read_text().splitlines()]


def test_without_a_gateway_it_is_written_down_for_the_next_start(support: Artifact) -> None:
    result = run("load", "help", "support")
    assert "No gateway runs with this database" in result.stderr
    assert asked_for() == [("help", support.id, ())]
    assert [(act["act"], act["target"], act["outcome"]) for act in acts()] == [("adapters.load", "help", "done")]
    listed = json.loads(run("list", "--format", "json").stdout)
    assert [(one["name"], one["state"]) for one in listed] == [("help", "loading")]


def test_it_waits_for_every_gateway_that_runs(support: Artifact) -> None:
    report("help", support.id)
    result = run("load", "help", "support")
    assert "state:    ready" in result.stdout
    assert "replicas: 1 of 1" in result.stdout
    assert "help  alpha" in run("list").stdout


def test_a_failure_is_told_with_its_reason(support: Artifact) -> None:
    report("help", support.id, "failed", "it changes nothing")
    with pytest.raises(EngineError, match="was not loaded: it changes nothing"):
        run("load", "help", "support")


def test_what_may_not_be_loaded_is_refused_and_audited() -> None:
    store = Store(load_settings().store_root)
    unjudged = add_adapter(store, add_base(store), verdict=None)
    with pytest.raises(RefusedError, match="never judged"):
        run("load", "help", unjudged.id)
    assert asked_for() == []
    assert acts()[0]["outcome"] == "refused"
    run("load", "help", unjudged.id, "--accept", "parity", "--no-wait")
    assert asked_for() == [("help", unjudged.id, ("parity",))]


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (("load", "no name", "support"), UserError, "name: "),
        (("load", "help", "support", "--accept", "quality"), UserError, "accept.0: "),
        (("load", "help", "support", "--model", "beta"), RefusedError, "beta takes no adapters"),
        (("load", "help", "support", "--config", "nowhere.yaml"), NotFoundError, "No config file nowhere.yaml"),
        (("unload", "help"), NotFoundError, "No adapter 'help' of alpha"),
        (("list", "--model", "gamma"), NotFoundError, "No model 'gamma'"),
    ],
)
def test_mistakes_are_told(support: Artifact, arguments: tuple[str, ...], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        run(*arguments)


def test_a_deployment_is_needed(folder: Path) -> None:
    (folder / "freehold.yaml").unlink()
    with pytest.raises(NotFoundError, match="No deployment is named"):
        run("list")


def test_unloading_is_written_down(support: Artifact) -> None:
    run("load", "help", "support", "--no-wait")
    result = run("unload", "help")
    assert "state:    unloading" in result.stdout
    assert asked_for() == []
    assert run("list").stdout == "No adapters. Try `freehold adapters load NAME ARTIFACT`.\n"
