"""What `freehold deploy` lists is what the chart brings in: every image that a render names, and none besides."""

import json
from pathlib import Path

import pytest
import yaml
from fixtures.chart.rendering import CHART, SCENARIOS, Packaged, containers, scenario
from typer.testing import CliRunner

from freehold.serve.cli.deploy import app


def _listed(values: Path) -> set[str]:
    command = ["images", "-f", str(values), "--chart", str(CHART), "--format", "json"]
    ended = CliRunner().invoke(app, command, catch_exceptions=False)
    return {row["image"] for row in json.loads(ended.stdout)}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_image_is_listed(chart: Packaged, name: str) -> None:
    rendered = {container["image"] for _, _, container in containers(chart.render(name).objects)}
    assert _listed(scenario(name)) == rendered


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_commands_take_what_the_chart_takes(name: str) -> None:
    ended = CliRunner().invoke(app, ["check", str(scenario(name)), "--chart", str(CHART)], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output


def test_the_schema_is_that_of_the_config_today() -> None:
    ended = CliRunner().invoke(app, ["schema", "--chart", str(CHART)], catch_exceptions=False)
    assert json.loads(ended.stdout) == json.loads((CHART / "values.schema.json").read_text()), "make chart"


@pytest.mark.slow
def test_the_pulled_artifacts_are_listed(chart: Packaged) -> None:
    for name in SCENARIOS:
        values = yaml.safe_load(scenario(name).read_text()) or {}
        sources = {one["source"] for one in (values.get("artifacts") or {}).values() if one.get("source")}
        command = ["artifacts", "-f", str(scenario(name)), "--chart", str(CHART), "--format", "json"]
        rows = json.loads(CliRunner().invoke(app, command, catch_exceptions=False).stdout)
        assert sources <= {row["source"] for row in rows}, name
