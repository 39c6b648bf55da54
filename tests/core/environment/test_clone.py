"""A clone's own environment shows the shared packages and the project, and is made again when either changes."""

import subprocess
from pathlib import Path

import pytest
from fixtures.wheels import SHARED

from freehold.core.environment.clone import STAMP, ensure_clone
from freehold.core.errors import RefusedError

pytestmark = pytest.mark.slow

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "tiny-project"
version = "{version}"
[project.scripts]
tiny = "tiny:main"
[tool.hatch.build.targets.wheel]
include = ["tiny.py"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT.format(version="1.0"))
    (folder / "tiny.py").write_text("def main() -> None:\n    print('it runs')\n")
    return folder


def output(*command: str | Path) -> str:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout.strip()


def test_shows_project_and_shared_packages_and_is_reused(project: Path) -> None:
    venv = project / ".venv"
    assert ensure_clone(venv, project, SHARED)
    assert output(venv / "bin" / "tiny") == "it runs"
    python = venv / "bin" / "python"
    assert output(python, "-c", "import hatchling; print(hatchling.__file__)").startswith(str(SHARED))
    assert output(python, "-m", "ruff", "--version").startswith("ruff ")
    assert output(python, "-m", "pytest", "--version").startswith("pytest ")
    assert output(python, "-m", "mypy", "--version").startswith("mypy ")

    assert not ensure_clone(venv, project, SHARED)
    (project / "pyproject.toml").write_text(PROJECT.format(version="2.0"))
    assert ensure_clone(venv, project, SHARED)
    ask = "from importlib.metadata import version; print(version('tiny-project'))"
    assert output(python, "-c", ask) == "2.0"


def test_one_that_was_left_half_made_is_made_again(project: Path) -> None:
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / STAMP).touch()
    assert ensure_clone(project / ".venv", project, SHARED)


def test_one_that_somebody_else_made_stays(project: Path) -> None:
    (project / ".venv").mkdir()
    (project / ".venv" / "precious").touch()
    with pytest.raises(RefusedError, match="was not made by Freehold"):
        ensure_clone(project / ".venv", project, SHARED)
    assert (project / ".venv" / "precious").exists()
