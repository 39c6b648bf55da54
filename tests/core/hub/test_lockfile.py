"""The lock: what it records, what it refuses."""

import threading
from pathlib import Path

import pytest

from freehold.core.errors import ConfigError, IntegrityError
from freehold.core.hub.lockfile import (
    LockedModel,
    check_promises,
    check_received,
    read_lock,
    require_locked,
    update_lock,
)
from freehold.core.hub.snapshot import RemoteFile, Snapshot
from freehold.core.store import FileRecord

A, B = "a" * 64, "b" * 64
LOCKED = LockedModel(
    kind="hub",
    location="org/model",
    revision="main",
    commit="c1",
    files=(
        FileRecord(path="config.json", size_bytes=2, sha256=A),
        FileRecord(path="w.safetensors", size_bytes=9, sha256=B),
    ),
)


def _snapshot(commit: str = "c1", **changed: RemoteFile | None) -> Snapshot:
    files: dict[str, RemoteFile | None] = {
        "config": RemoteFile("config.json", 2),
        "weights": RemoteFile("w.safetensors", 9, sha256=B),
    }
    kept = tuple(file for file in (files | changed).values() if file)
    return Snapshot("hub", "org/model", "main", commit, kept)


def test_models_are_added_side_by_side(tmp_path: Path) -> None:
    lock = tmp_path / "freehold.lock"
    names = [f"model-{number}" for number in range(8)]
    threads = [threading.Thread(target=update_lock, args=(lock, name, LOCKED)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(read_lock(lock).models) == names
    assert require_locked(lock, "model-3") == LOCKED


def test_an_unlocked_model_is_refused_with_the_remedy(tmp_path: Path) -> None:
    update_lock(tmp_path / "freehold.lock", "other", LOCKED)
    with pytest.raises(ConfigError, match="does not lock 'model'") as caught:
        require_locked(tmp_path / "freehold.lock", "model")
    assert "freehold pull model" in caught.value.next_step


def test_a_broken_lock_is_no_empty_lock(tmp_path: Path) -> None:
    (tmp_path / "freehold.lock").write_text("{}<<<<<<< HEAD")
    with pytest.raises(ConfigError, match="not a lock"):
        read_lock(tmp_path / "freehold.lock")


@pytest.mark.parametrize(
    ("snapshot", "message"),
    [
        (_snapshot(commit="c2"), "commit c2, locked at c1"),
        (_snapshot(config=None), "config.json: no longer at the source"),
        (_snapshot(config=RemoteFile("config.json", 3)), "config.json: 3 bytes, locked at 2"),
        (_snapshot(weights=RemoteFile("w.safetensors", 9, sha256=A)), f"w.safetensors: sha256 {A}, locked at {B}"),
    ],
)
def test_promises_that_differ_are_refused_by_file_name(snapshot: Snapshot, message: str) -> None:
    check_promises(Path("freehold.lock"), LOCKED, _snapshot())
    with pytest.raises(IntegrityError, match=message):
        check_promises(Path("freehold.lock"), LOCKED, snapshot)


@pytest.mark.parametrize(
    ("received", "message"),
    [
        (LOCKED.files[:1], "w.safetensors: locked, but not there"),
        ((*LOCKED.files, FileRecord(path="new.txt", size_bytes=1, sha256=A)), "new.txt: not in the lock"),
        ((FileRecord(path="config.json", size_bytes=2, sha256=B), LOCKED.files[1]), "config.json: sha256 b+"),
    ],
)
def test_content_that_differs_is_refused_by_file_name(received: tuple[FileRecord, ...], message: str) -> None:
    check_received(Path("freehold.lock"), LOCKED, LOCKED.files)
    with pytest.raises(IntegrityError, match=message):
        check_received(Path("freehold.lock"), LOCKED, received)
