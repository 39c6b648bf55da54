"""`values.schema.json`: what Helm itself says to a typo."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from freehold.serve.cli.deploy import app
from freehold.serve.config import DeploymentConfig


@pytest.fixture
def schema(chart: Path) -> dict[str, Any]:
    ended = CliRunner().invoke(app, ["schema", "--chart", str(chart)], catch_exceptions=False)
    assert ended.exit_code == 0
    found: dict[str, Any] = json.loads(ended.stdout)
    Draft202012Validator.check_schema(found)
    return found


def _problems(schema: dict[str, Any], deployment: dict[str, Any]) -> list[tuple[str, str]]:
    errors = Draft202012Validator(schema).iter_errors({"deployment": deployment})
    return [(error.json_path.removeprefix("$."), str(error.validator)) for error in errors]


def _model(**keys: Any) -> dict[str, Any]:
    return {"models": {"tiny": {"artifact": "tiny", **keys}}}


RIGHT = [
    _model(),
    _model(engine={"kind": "process", "maxModelLen": 1, "chatTemplate": None, "restart": {"maxAttempts": 1}}),
    _model(engine={"kind": "remote", "baseUrl": "http://a"}, artifact=None),
    _model(engine={"kind": "ray", "address": "10.0.0.5:6379", "autoscaling": {"min": 0, "max": 2}}),
    _model(adapters={}, cost={"gpuHour": 2}),
    _model(adapters={"a": {"artifact": "b", "accept": ["parity"]}}),
    {**_model(), "routes": {"r": {"targets": {"tiny": 1}, "fallback": "tiny", "record": {}}}},
    {**_model(), "routes": {"r": {"targets": {"tiny": 1}, "fallback": ["tiny"]}}, "gateway": {"auth": "keys"}},
]
WRONG = {
    "deployment.models.tiny.engine": _model(engine={"maxModelLn": 1}),
    "deployment.models.tiny.engine.autoscaling": _model(engine={"kind": "ray", "autoscaling": {"max": 2, "mn": 1}}),
    "deployment.models.tiny.engine.placement": _model(engine={"kind": "ray", "placement": "PACK"}),
    "deployment.models.tiny.engine.restart": _model(engine={"restart": {"maxAttempt": 1}}),
    "deployment.models.tiny.engine.maxLoraRank": _model(engine={"maxLoraRank": 7}),
    "deployment.models.tiny.cost": _model(cost={"gpuHour": 1, "gpuhours": 2}),
    "deployment.models.tiny.adapters.a": _model(adapters={"a": {"artifact": "b", "acept": []}}),
    "deployment.models": {"models": {"a b": {}}},
    "deployment.routes.r.canary": {**_model(), "routes": {"r": {"targets": {"tiny": 1}, "canary": {"traget": "x"}}}},
    "deployment.gateway.port": {**_model(), "gateway": {"port": "http"}},
    "deployment": {**_model(), "gatway": {}},
}


@pytest.mark.parametrize("deployment", RIGHT)
def test_what_the_program_takes_the_schema_takes(schema: dict[str, Any], deployment: dict[str, Any]) -> None:
    DeploymentConfig.model_validate(deployment)
    assert _problems(schema, deployment) == []


@pytest.mark.parametrize("place", WRONG)
def test_a_typo_is_told_with_its_path(schema: dict[str, Any], place: str) -> None:
    found = _problems(schema, WRONG[place])
    assert place in {path for path, _ in found}, found
    assert "anyOf" not in {rule for _, rule in found} or place.endswith("maxLoraRank"), "a validator must say which"


def test_every_field_is_described(schema: dict[str, Any]) -> None:
    ours = {name: each for name, each in schema["$defs"].items() if name.startswith("deployment.")}
    assert len(ours) >= 15
    lacking = [
        f"{name}.{key}"
        for name, each in ours.items()
        for key, field in each["properties"].items()
        if "description" not in field and "$ref" not in field
    ]
    assert [place for place in lacking if not place.startswith("deployment.Tuning")] == []


def test_the_chart_keeps_its_own(schema: dict[str, Any], chart: Path) -> None:
    own = json.loads((chart / "schema" / "chart.schema.json").read_text())
    put_in = {"deployment", "policy"}
    assert {key: value for key, value in schema["properties"].items() if key not in put_in} == {
        key: value for key, value in own["properties"].items() if key not in put_in
    }
    assert own["$defs"].items() <= schema["$defs"].items()


@pytest.mark.parametrize(
    "rules", [{}, {"licenses": {"commercialUse": [True, "conditions"]}}, {"gates": {"require": ["probe"]}}]
)
def test_a_policy_that_is_right_passes(schema: dict[str, Any], rules: dict[str, Any]) -> None:
    assert not list(Draft202012Validator(schema).iter_errors({"policy": rules}))


@pytest.mark.parametrize(
    "rules", [{"licences": {}}, {"formats": {"allow": ["zip"]}}, {"evaluations": {"maxAgeDays": "90d"}}, {"gates": {}}]
)
def test_a_typo_in_the_policy_is_told_with_its_place(schema: dict[str, Any], rules: dict[str, Any]) -> None:
    errors = list(Draft202012Validator(schema).iter_errors({"policy": rules}))
    assert errors and all(error.json_path.startswith("$.policy") for error in errors)
