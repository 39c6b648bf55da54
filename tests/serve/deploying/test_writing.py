"""Values that are written are values that are right, and hold what a cluster needs to have the same models."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.models import add_artifact
from fixtures.policies import write_policy
from fixtures.signing import make_key
from typer.testing import CliRunner

from freehold.core.errors import ConfigError
from freehold.core.hub.lockfile import LockContent, LockedModel, update_lock
from freehold.core.store import FileRecord, SourceRecord, Store
from freehold.serve.cli.deploy import app

FILES = (FileRecord(path="model.safetensors", size_bytes=1, sha256="0" * 64),)


@pytest.fixture
def pulled(home: Path) -> Store:
    """A store with a model from the hub, one from a package, a trained one and one from a folder."""
    store = Store(home / "freehold" / "store")
    hub = SourceRecord(kind="hub", location="owner/Tiny", revision="main", commit="c0ffee", files=FILES)
    add_artifact(store, "tiny", {"config.json": b"1"}, source=hub, allowed=("remote-code",))
    package = SourceRecord(kind="package", location="llm-tiny", commit="1.0", files=FILES)
    add_artifact(store, "packed", {"config.json": b"2"}, source=package)
    add_artifact(store, "trained", {"config.json": b"3"}, parents=("tiny-0",))
    folder = SourceRecord(kind="path", location="/models/own", commit="x", files=FILES)
    add_artifact(store, "own", {"config.json": b"4"}, source=folder)
    return store


def _write(tmp_path: Path, document: dict[str, Any], *options: str) -> tuple[dict[str, Any], str]:
    """The values of a deployment, and what was said of them."""
    config = tmp_path / "freehold.yaml"
    config.write_text(yaml.safe_dump(document))
    lock = ("--lock-file", str(tmp_path / "freehold.lock"))
    ended = CliRunner().invoke(app, ["values", str(config), *lock, *options], catch_exceptions=False)
    assert ended.exit_code == 0
    (tmp_path / "values.yaml").write_text(ended.stdout)
    return yaml.safe_load(ended.stdout), ended.stderr


def test_what_is_written_is_right(pulled: Store, chart: Path, tmp_path: Path) -> None:
    artifact = pulled.get("tiny")
    document = {
        "models": {
            "chat": {
                "artifact": artifact.id,
                "engine": {"tensorParallel": 2, "extraArgs": ["--pipeline-parallel-size=2"]},
            },
            "packed": {"artifact": "packed", "adapters": {"support": {"artifact": "trained"}}},
            "far": {"engine": {"kind": "remote", "baseUrl": "http://a"}},
        },
        "routes": {"gpt": {"targets": {"chat": 1}, "fallback": "far"}},
    }
    values, said = _write(tmp_path, document, "--profile", "amd")
    assert values["deployment"]["models"]["chat"]["artifact"] == "tiny", "an id is of one store; the pull has a name"
    assert values["deployment"]["routes"] == document["routes"]
    assert values["engines"] == {
        "chat": {"replicas": 1, "accelerator": {"profile": "amd", "count": 4}},
        "packed": {"replicas": 1, "accelerator": {"profile": "amd", "count": 1}},
    }
    assert values["store"] == {"volume": {"accessModes": ["ReadWriteMany"]}}
    assert "store.volume is ReadWriteMany, since 2 engines share it" in said
    tiny = values["artifacts"]["tiny"]
    assert (tiny["source"], tiny["extraArgs"]) == ("owner/Tiny@c0ffee", ["--allow-remote-code"])
    lock = LockContent.model_validate_json(tiny["lock"])
    assert lock.models["owner/Tiny"].commit == "c0ffee" and lock.models["owner/Tiny"].files == FILES
    assert values["artifacts"]["packed"]["source"] == "packed"
    assert values["artifacts"]["trained"] == {"existing": True} and "artifacts.trained was made here" in said
    ended = CliRunner().invoke(app, ["check", str(tmp_path / "values.yaml"), "--chart", str(chart)])
    assert ended.exception is None, ended.exception


def test_what_means_something_on_this_machine_alone_is_left_out_and_said(pulled: Store, tmp_path: Path) -> None:
    gateway = {"host": "::1", "port": 9, "workers": 4, "database": "sqlite:///x.db", "drainTimeoutS": 5, "auth": "keys"}
    document = {
        "models": {"tiny": {"artifact": "tiny", "engine": {"python": "old"}}},
        "gateway": gateway,
        "tuning": {"models": ["tiny"], "serve": False},
    }
    values, said = _write(tmp_path, document)
    assert values["deployment"] == {"models": {"tiny": {"artifact": "tiny", "engine": {}}}, "gateway": {"auth": "keys"}}
    for place in (*(f"gateway.{key}" for key in gateway if key != "auth"), "tuning", "models.tiny.engine.python"):
        assert f"{place} was left out: " in said


def test_the_deployments_policy_becomes_a_key_of_the_chart(
    pulled: Store, chart: Path, home: Path, tmp_path: Path
) -> None:
    public = make_key(tmp_path).public.read_text()
    rules = {"licenses": {"commercialUse": ["yes"]}, "signatures": {"keys": ["site.pub"]}}
    write_policy(tmp_path / "rules.yaml", **rules)
    write_policy(home / "freehold" / "policy.yaml", licenses={"allow": ["MIT"]})
    document = {"models": {"packed": {"artifact": "packed"}}, "policy": "rules.yaml"}
    values, said = _write(tmp_path, document)
    assert values["policy"] == {"licenses": {"commercialUse": ["yes"]}, "signatures": {"keys": [public]}}
    assert "policy" not in values["deployment"]
    assert "The policy of this machine was left out" in said
    ended = CliRunner().invoke(app, ["check", str(tmp_path / "values.yaml"), "--chart", str(chart)])
    assert ended.exception is None, ended.exception


def test_an_engine_on_ray_becomes_one_of_the_charts(pulled: Store, tmp_path: Path) -> None:
    ray = {"kind": "ray", "address": "10.0.0.5:6379", "tensorParallel": 2, "pipelineParallel": 2, "replicas": 3}
    values, said = _write(tmp_path, {"models": {"tiny": {"artifact": "tiny", "engine": ray}}})
    assert values["deployment"]["models"]["tiny"]["engine"] == {
        "tensorParallel": 2,
        "extraArgs": ["--pipeline-parallel-size", "2"],
    }
    assert values["engines"]["tiny"] == {"replicas": 3, "accelerator": {"profile": "nvidia", "count": 4}}
    assert "models.tiny.engine.kind: ray was left out" in said and "multiNode" in said


def test_a_model_of_a_folder_has_to_be_brought(pulled: Store, tmp_path: Path) -> None:
    values, said = _write(tmp_path, {"models": {"own": {"artifact": "own"}}})
    assert "store" not in values, "one engine takes the chart's own"
    assert values["artifacts"] == {"own": {"existing": True}} and "artifacts.own was made here" in said


def test_a_model_that_is_only_locked(tmp_path: Path) -> None:
    locked = LockedModel(kind="hub", location="owner/Tiny", revision="main", commit="c0ffee", files=FILES)
    update_lock(tmp_path / "freehold.lock", "owner/Tiny", locked)
    values, _ = _write(tmp_path, {"models": {"tiny": {"artifact": "owner/Tiny"}}})
    assert values["deployment"]["models"]["tiny"]["artifact"] == "tiny"
    assert values["artifacts"]["tiny"]["source"] == "owner/Tiny@c0ffee"
    assert LockContent.model_validate_json(values["artifacts"]["tiny"]["lock"]).models.keys() == {"owner/Tiny"}


def test_a_model_that_nobody_has_seen_is_said(tmp_path: Path) -> None:
    values, said = _write(tmp_path, {"models": {"tiny": {"artifact": "tiny"}}})
    assert values["artifacts"] == {"tiny": {"source": "tiny"}}
    assert "no commit and no lock" in said and "freehold pull tiny" in said


def test_a_wrong_deployment_is_told(tmp_path: Path) -> None:
    config = tmp_path / "freehold.yaml"
    config.write_text("models: {tiny: {}}\n")
    ended = CliRunner().invoke(app, ["values", str(config)])
    assert isinstance(ended.exception, ConfigError) and ended.stdout == ""
