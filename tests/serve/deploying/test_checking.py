"""Everything that is wrong with values is told at once, each with its path."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from freehold.core.errors import ConfigError, NotFoundError
from freehold.core.hub.lockfile import LockContent, LockedModel
from freehold.serve.cli.deploy import app

Problems = Callable[..., list[str]]
TINY = {"artifact": "tiny"}


def _lock(model: str = "owner/tiny", commit: str = "0123") -> str:
    locked = LockedModel(kind="hub", location="owner/tiny", revision="main", commit=commit, files=())
    return LockContent(models={model: locked}).model_dump_json()


def _deployment(**keys: Any) -> dict[str, Any]:
    return {"deployment": {"models": {"tiny": TINY}, **keys}}


def test_what_is_right_has_no_problems(problems: Problems) -> None:
    assert problems() == []
    assert problems(artifacts={"tiny": {"source": "owner/tiny@0123", "lock": _lock()}}) == []
    assert problems(artifacts={"tiny": {"existing": True}}) == []
    assert problems(engines={"tiny": {"accelerator": {"profile": "amd"}}}) == []


def test_the_charts_example_is_right(chart: Path, tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text("gateway: {replicas: 1}\n")
    ended = CliRunner().invoke(app, ["check", str(path), "--chart", str(chart)], catch_exceptions=False)
    assert ended.exit_code == 0 and "1 model(s), no problems" in ended.stdout
    assert "`deployment` is not set" in ended.stderr


WRONG: dict[str, dict[str, Any]] = {
    "engins: unknown key": {"engins": {}},
    "engines.tiny.acelerator: unknown key": {"engines": {"tiny": {"acelerator": {}}}},
    "engines.tiny.replicas: ": {"engines": {"tiny": {"replicas": "two"}}},
    "images.toolkit.tagg: unknown key": {"images": {"toolkit": {"tagg": "1"}}},
    "deployment.policy: no pod has the file rules.yaml": _deployment(policy="rules.yaml"),
    "policy.signatures.keys.0: no pod has the file site.pub": {"policy": {"signatures": {"keys": ["site.pub"]}}},
    "policy.licenses.allow.0: value error, no SPDX identifier": {"policy": {"licenses": {"allow": ["Apache"]}}},
    "policy.licenses.allowed: unknown key": {"policy": {"licenses": {"allowed": ["MIT"]}}},
    "database.kind: 'mysql' is not one of": {"database": {"kind": "mysql"}},
    "deployment.models.tiny.engine.maxModelLn: unknown key": {
        "deployment": {"models": {"tiny": {**TINY, "engine": {"maxModelLn": 1}}}}
    },
    "deployment.models.tiny.engine.kind: ray is for `freehold serve`": {
        "deployment": {"models": {"tiny": {**TINY, "engine": {"kind": "ray"}}}}
    },
    "deployment.models.tiny.artifact: required": {"deployment": {"models": {"tiny": {}}}},
    "deployment.gatway: unknown key": _deployment(gatway={}),
    "deployment.routes.r.targets.none: no model": _deployment(routes={"r": {"targets": {"none": 1}}}),
    "engines.other: no model of that name": {"engines": {"other": {}}},
    "engines.tiny.accelerator.profile: no profile 'tpu'": {"engines": {"tiny": {"accelerator": {"profile": "tpu"}}}},
    "engines.tiny.accelerator.count: 1 for deployment.models.tiny.engine.tensorParallel 4": {
        "deployment": {"models": {"tiny": {**TINY, "engine": {"tensorParallel": 4}}}}
    },
    "deployment.models.tiny.artifact: 'tiny' is not under artifacts": {"artifacts": {}},
    "deployment.models.tiny.adapters.a.artifact: 'a' is not under artifacts": {
        "deployment": {"models": {"tiny": {**TINY, "adapters": {"a": {"artifact": "a"}}}}}
    },
    "artifacts.tiny.source: required": {"artifacts": {"tiny": {}}},
    "artifacts.tiny.lock: no freehold.lock": {"artifacts": {"tiny": {"source": "owner/tiny@0123", "lock": "{"}}},
    "artifacts.tiny.lock: it does not lock owner/tiny, but other/model": {
        "artifacts": {"tiny": {"source": "owner/tiny@0123", "lock": _lock("other/model")}}
    },
    "artifacts.tiny.source: 0123, locked at 4567": {
        "artifacts": {"tiny": {"source": "owner/tiny@0123", "lock": _lock(commit="4567")}}
    },
    "artifacts.tiny.lock: required with airGapped": {"airGapped": True},
    "deployment.tuning: a gateway in a cluster": _deployment(tuning={"models": ["tiny"], "serve": False}),
    "deployment.gateway.workers: a gateway in a cluster is one process": _deployment(gateway={"workers": 2}),
    "gateway.replicas: several gateways cannot share SQLite": {"gateway": {"replicas": 2}},
    "database.existingSecret.name: required": {"database": {"kind": "postgresql"}},
    "deployment.upstreams.far.apiKeyFrom.env: the variable FAR_KEY has no secret": _deployment(
        upstreams={"far": {"baseUrl": "https://far.example", "apiKeyFrom": {"env": "FAR_KEY"}}}
    ),
    "deployment.gateway.adminKeyFrom.env: the variable ADMIN has no secret": _deployment(
        gateway={"adminKeyFrom": {"env": "ADMIN"}}
    ),
}


SHARED: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"engines": {"tiny": {"replicas": 2}}}, {"accessModes": ["ReadWriteMany"]}),
    ({"engines": {"tiny": {"replicas": 2}}}, {"kind": "ephemeral"}),
    ({"engines": {"tiny": {"autoscaling": {"kind": "hpa"}}}}, {"accessModes": ["ReadWriteMany"]}),
    (_deployment(models={"tiny": TINY, "other": TINY}), {"singleNode": True}),
    ({"mirror": {"enabled": True}}, {"singleNode": True}),
)


@pytest.mark.parametrize(("keys", "volume"), SHARED)
def test_a_volume_of_one_pod_is_not_for_several(
    problems: Problems, keys: dict[str, Any], volume: dict[str, Any]
) -> None:
    (found,) = problems(**keys)
    assert found.startswith("store.volume.accessModes: ReadWriteOnce is for one pod, and ")
    assert problems(**keys, store={"volume": volume}) == []


def test_one_node_does_not_help_replicas_of_one_model(problems: Problems) -> None:
    replicas = {"tiny": {"replicas": 2}}
    assert len(problems(engines=replicas, store={"volume": {"singleNode": True}})) == 1


def test_a_deployment_is_told_from_values(chart: Path, tmp_path: Path) -> None:
    path = tmp_path / "freehold.yaml"
    path.write_text("models: {tiny: {artifact: tiny}}\n")
    ended = CliRunner().invoke(app, ["check", str(path), "--chart", str(chart)])
    assert isinstance(ended.exception, ConfigError)
    assert f"freehold deploy values {path} > values.yaml" in ended.exception.next_step


@pytest.mark.parametrize("told", WRONG)
def test_what_is_wrong_is_told_with_its_path(problems: Problems, told: str) -> None:
    found = problems(**WRONG[told])
    assert [problem for problem in found if problem.startswith(told)], found
    assert len(found) == 1


def test_all_problems_are_told_at_once(problems: Problems) -> None:
    deployment = {"models": {"tiny": {**TINY, "engine": {"maxModelLn": 1}}}}
    assert len(problems(deployment=deployment, engins={}, engines={"tiny": {"acelerator": {}}})) == 3


def test_a_variable_with_a_secret_is_right(problems: Problems) -> None:
    upstreams = {"far": {"baseUrl": "https://far.example", "apiKeyFrom": {"env": "FAR_KEY"}}}
    assert problems(**_deployment(upstreams=upstreams), secretEnv={"FAR_KEY": {"name": "far", "key": "key"}}) == []
    assert problems(**_deployment(upstreams=upstreams), gateway={"extraEnv": [{"name": "FAR_KEY", "value": "x"}]}) == []


@pytest.mark.parametrize("text", ["- a\n", "a: [\n"])
def test_no_map(chart: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(text)
    ended = CliRunner().invoke(app, ["check", str(path), "--chart", str(chart)])
    assert isinstance(ended.exception, ConfigError)


def test_no_chart_and_no_file(chart: Path, tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["check", str(tmp_path / "none.yaml"), "--chart", str(chart)])
    assert isinstance(ended.exception, NotFoundError) and "freehold deploy values" in ended.exception.next_step
    ended = CliRunner().invoke(app, ["schema", "--chart", str(tmp_path)])
    assert isinstance(ended.exception, NotFoundError) and "--chart helm/freehold" in ended.exception.next_step
