"""Values files, and the commands that read them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.charts import make_chart
from typer.testing import CliRunner

from freehold.core.errors import ConfigError
from freehold.serve.cli.deploy import app

REAL = Path(__file__).parents[3] / "helm" / "freehold"


@pytest.fixture(params=["small", "real"])
def chart(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small chart, and the one that ships."""
    if request.param == "small":
        return make_chart(tmp_path / "chart")
    if not (REAL / "schema" / "chart.schema.json").is_file():
        pytest.skip("there is no helm/freehold in this tree")
    return REAL


@pytest.fixture
def values(tmp_path: Path) -> Callable[..., Path]:
    """A values file with these keys; by default of one model that is right."""

    def write(**keys: Any) -> Path:
        right = {
            "deployment": {"models": {"tiny": {"artifact": "tiny"}}},
            "artifacts": {"tiny": {"source": "owner/tiny@0123"}},
        }
        path = tmp_path / "values.yaml"
        path.write_text(yaml.safe_dump(right | keys))
        return path

    return write


@pytest.fixture
def problems(chart: Path, values: Callable[..., Path]) -> Callable[..., list[str]]:
    """What `freehold deploy check` says against values with these keys."""

    def check(**keys: Any) -> list[str]:
        ended = CliRunner().invoke(app, ["check", str(values(**keys)), "--chart", str(chart)])
        if ended.exception is None:
            assert ended.stdout.endswith("no problems\n")
            return []
        assert isinstance(ended.exception, ConfigError), ended.exception
        return ended.exception.problems

    return check


@pytest.fixture
def listed(chart: Path, values: Callable[..., Path]) -> Callable[..., list[dict[str, Any]]]:
    """The rows of `freehold deploy images` or `artifacts`."""

    def run(what: str, **keys: Any) -> list[dict[str, Any]]:
        command = [what, "-f", str(values(**keys)), "--chart", str(chart), "--format", "json"]
        ended = CliRunner().invoke(app, command, catch_exceptions=False)
        assert ended.exit_code == 0
        rows: list[dict[str, Any]] = json.loads(ended.stdout)
        return rows

    return run
