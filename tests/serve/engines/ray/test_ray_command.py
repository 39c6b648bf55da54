"""`freehold ray`, through the real group, with a stand-in for the Python that has Ray; the real one: tests/e2e."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from fixtures.journeys import all_gone
from typer.testing import CliRunner

from freehold.core.errors import EnvironmentProblem, FreeholdError, UserError
from freehold.serve.cli.ray import app

pytestmark = pytest.mark.slow

STARTS = """
echo "$@" >> {folder}/calls
env | grep ^RAY_ >> {folder}/environment
sh -c 'sleep 600 & exec sleep 600' > /dev/null 2>&1 &
echo "INFO scripts.py:1043 -- Local node IP: 192.0.2.7"
"""
STATUS = """
echo '{{"address": "192.0.2.7:6379", "nodes": [{{"node": "a", "host": "192.0.2.7", "role": "head", "state": "alive",
 "resources": {{"CPU": 4}}, "free": {{"CPU": 3}}}}], "models": []}}' | tr -d '\\n'
"""
FAILS = "echo 'RuntimeError: port 6379 is taken' >&2; exit 1"
NO_RAY = "echo \"ModuleNotFoundError: No module named 'ray'\" >&2; exit 1"

Python = Callable[[str], str]


def run(*arguments: str) -> tuple[str, str]:
    ended = CliRunner().invoke(app, list(arguments))
    if isinstance(ended.exception, FreeholdError):
        raise ended.exception
    assert ended.exception is None, ended.exception
    return ended.stdout, ended.stderr


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Python]:
    """The path of an executable that does this."""

    def make(script: str) -> str:
        path = tmp_path / "python"
        path.write_text("#!/bin/sh\n" + script.format(folder=tmp_path))
        path.chmod(0o755)
        return str(path)

    yield make
    run("down")


def _sleepers() -> list[psutil.Process]:
    mine = psutil.Process().uids().real
    return [one for one in psutil.process_iter() if one.uids().real == mine and one.name() == "sleep" and _is_ours(one)]


def _is_ours(process: psutil.Process) -> bool:
    try:
        return "FREEHOLD_RAY_NODE" in process.environ() and os.environ["HOME"] == process.environ().get("HOME")
    except psutil.Error:
        return False


def test_a_head_comes_up_once_and_goes_down_whole(python: Python, tmp_path: Path, home: Path) -> None:
    given = ["up", "--engine", python(STARTS), "--cpus", "2", "--resource", "lab=1.5", "--format", "json"]
    out, said = run(*given)
    assert json.loads(out)[0]["address"] == "192.0.2.7:6379"
    call = (tmp_path / "calls").read_text()
    assert "--head --port=6379" in call and "--num-cpus=2" in call and '--resources={"lab": 1.5}' in call
    assert "--disable-usage-stats" in call
    token = home / "freehold" / "run" / "ray" / socket.gethostname() / "token"
    assert token.stat().st_mode & 0o777 == 0o600 and len(token.read_text()) == 64
    assert f"RAY_AUTH_TOKEN_PATH={token}" in (tmp_path / "environment").read_text()
    assert str(token) in said and token.read_text() not in out + said
    with pytest.raises(UserError, match=r"already a node of 192\.0\.2\.7:6379"):
        run(*given)
    running = _sleepers()
    assert len(running) == 2
    out, _ = run("down", "--format", "json")
    assert json.loads(out)[0]["processes"] == 2
    assert all_gone(running) and not token.exists()
    assert json.loads(run("down", "--format", "json")[0]) == []


def test_a_worker_takes_the_clusters_token(python: Python, tmp_path: Path, home: Path) -> None:
    secret = tmp_path / "copied"
    secret.write_text("abc\n")
    run("up", "--engine", python(STARTS), "--address", "10.0.0.5:6379", "--token-file", str(secret))
    assert "--address=10.0.0.5:6379" in (tmp_path / "calls").read_text()
    assert (home / "freehold" / "run" / "ray" / socket.gethostname() / "token").read_text() == "abc"


def test_machines_that_share_the_data_folder_keep_their_nodes_apart(
    python: Python, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("up", "--engine", python(STARTS))
    token = home / "freehold" / "run" / "ray" / socket.gethostname() / "token"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(socket, "gethostname", lambda: "elsewhere")
        run("up", "--engine", python(STARTS), "--address", "192.0.2.7:6379", "--token-file", str(token))
        assert json.loads(run("down", "--format", "json")[0])[0]["role"] == "worker"
    assert token.is_file()
    assert json.loads(run("down", "--format", "json")[0])[0]["role"] == "head"


@pytest.mark.parametrize(
    ("script", "what"),
    [(FAILS, r"did not start: RuntimeError: port 6379 is taken"), (NO_RAY, "Ray is not installed")],
)
def test_what_does_not_start_is_told_and_leaves_nothing(python: Python, script: str, what: str) -> None:
    with pytest.raises(EnvironmentProblem, match=what):
        run("up", "--engine", python("sleep 600 > /dev/null 2>&1 & " + script))
    assert _sleepers() == []
    assert json.loads(run("down", "--format", "json")[0]) == []


@pytest.mark.parametrize(
    ("given", "what"),
    [(["--resource", "lab"], "not NAME=AMOUNT"), (["--address", "a:1", "--token-file", "none"], "no token file none")],
)
def test_what_is_typed_wrong_starts_nothing(python: Python, tmp_path: Path, given: list[str], what: str) -> None:
    with pytest.raises(UserError, match=what):
        run("up", "--engine", python(STARTS), *given)
    assert not (tmp_path / "calls").exists()


def test_status_as_a_table_and_as_json(python: Python) -> None:
    out, said = run("status", "--engine", python(STATUS))
    assert out.splitlines()[1].split() == ["a", "192.0.2.7", "head", "alive", "CPU", "3"]
    assert "192.0.2.7:6379" in said
    found = json.loads(run("status", "--engine", python(STATUS), "--format", "json")[0])
    assert found["nodes"][0]["resources"] == {"CPU": 4} and found["token_file"] is None


def test_a_cluster_that_does_not_answer_is_told_with_what_to_type(python: Python) -> None:
    with pytest.raises(EnvironmentProblem, match="No Ray cluster answers at 10.0.0.5:6379") as caught:
        run("status", "--engine", python(FAILS), "--address", "10.0.0.5:6379")
    assert "freehold ray up" in caught.value.next_step
