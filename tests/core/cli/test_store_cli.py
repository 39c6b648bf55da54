"""`freehold store` through the real command group."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.models import add_artifact

from freehold.core.gates import Verdict, record_verdict
from freehold.core.settings import load_settings
from freehold.core.store import Artifact, Store

pytestmark = pytest.mark.slow


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "freehold.core.cli", "store", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def artifact(home: Path) -> Artifact:
    return add_artifact(Store(load_settings().store_root), "alpha", {"config.json": b"{}", "w.safetensors": b"w"})


def test_every_listing_has_json(artifact: Artifact) -> None:
    (row,) = json.loads(_run("list", "--format", "json").stdout)
    assert (row["id"], row["size_bytes"]) == (artifact.id, 3)
    shown = json.loads(_run("show", "alpha", "--format", "json").stdout)
    assert [file["path"] for file in shown["files"]] == ["config.json", "w.safetensors"]
    assert json.loads(_run("verify", "--format", "json").stdout) == []
    assert json.loads(_run("gc", "--format", "json").stdout) == []
    assert json.loads(_run("remove", "alpha", "--format", "json").stdout)[0]["would_remove"] == artifact.id


def test_tables_go_to_stdout_and_hints_to_stderr(artifact: Artifact) -> None:
    listed = _run("list")
    assert listed.stdout.splitlines()[0].split() == ["ID", "KIND", "SIZE", "CREATED", "SOURCE", "PROBE"]
    assert listed.stderr == ""
    removed = _run("remove", "alpha")
    assert "Add --yes" in removed.stderr
    assert "Add --yes" not in removed.stdout
    assert artifact.path.is_dir()
    assert _run("remove", "alpha", "--yes").returncode == 0
    assert not artifact.path.exists()
    assert "The store is empty" in _run("list").stdout


def test_verify_fails_with_the_file_and_the_exit_code(artifact: Artifact) -> None:
    assert _run("verify").returncode == 0
    (artifact.path / "w.safetensors").write_bytes(b"X")
    failed = _run("verify", "alpha")
    assert failed.returncode == 5
    assert "w.safetensors" in failed.stdout
    assert "freehold store remove" in failed.stderr


def test_gc_prints_first_and_removes_when_told(artifact: Artifact, home: Path) -> None:
    store = Store(load_settings().store_root)
    newer = add_artifact(store, "alpha", {"config.json": b"{ }"})
    with store.staging("abandoned"):
        pass
    printed = _run("gc")
    assert "superseded" in printed.stdout and "leftover" in printed.stdout
    assert len(store.artifacts()) == 2
    assert _run("gc", "--yes").returncode == 0
    assert [kept.id for kept in store.artifacts()] == [newer.id]
    assert store.leftovers() == []


@pytest.mark.parametrize("command", ["list", "show", "verify", "remove", "gc", "probe"])
def test_every_help_ends_with_examples(command: str) -> None:
    lines = _run(command, "--help").stdout.rstrip().splitlines()
    assert lines[-1].strip().startswith("freehold store")


def test_what_gates_said_is_shown(artifact: Artifact) -> None:
    assert "none was asked" in _run("show", "alpha").stdout
    store = Store(load_settings().store_root)
    record_verdict(store, Verdict(gate="parity", artifact=artifact.id, passed=True))
    record_verdict(store, Verdict(gate="quality", artifact=artifact.id, passed=False, reasons=("it forgot",)))
    assert "parity passed, quality did not pass" in _run("show", "alpha").stdout
