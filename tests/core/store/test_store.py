"""The store: identity, lookup, verification, removal, leftovers."""

import json
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from fixtures.models import add_artifact

from freehold.core.errors import IntegrityError, NotFoundError, RefusedError, UserError
from freehold.core.store import Artifact, Store

FILES = {"config.json": b"{}", "model.safetensors": b"weights", "sub/tokenizer.json": b"[]"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_the_same_content_is_the_same_artifact(store: Store) -> None:
    first = add_artifact(store, "alpha", FILES)
    again = add_artifact(store, "alpha", FILES)
    assert first.id == again.id == f"alpha-{first.lineage.digest[:12]}"
    assert [artifact.id for artifact in store.artifacts()] == [first.id]


@pytest.mark.parametrize("changed", [{"config.json": b"{ }"}, {"other.json": b"{}"}])
def test_any_change_of_content_is_another_artifact(store: Store, changed: dict[str, bytes]) -> None:
    assert add_artifact(store, "alpha", FILES).id != add_artifact(store, "alpha", FILES | changed).id


def test_lookup_by_id_prefix_and_name(store: Store) -> None:
    older = add_artifact(store, "alpha", FILES)
    newer = add_artifact(store, "alpha", FILES | {"extra": b"1"})
    assert store.get(older.id) == older
    assert store.get("alpha").id == newer.id, "a name means its newest artifact"
    assert store.get(older.id[:-3]).id == older.id
    with pytest.raises(UserError, match="names 2 artifacts"):
        store.get("alph")
    with pytest.raises(NotFoundError, match=r"No artifact 'beta'.*alpha-"):
        store.get("beta")


def _flip_byte(artifact: Artifact) -> None:
    path = artifact.path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"X")


def _truncate(artifact: Artifact) -> None:
    (artifact.path / "model.safetensors").write_bytes(b"w")


def _delete(artifact: Artifact) -> None:
    (artifact.path / "sub/tokenizer.json").unlink()


def _add(artifact: Artifact) -> None:
    (artifact.path / "evil.py").write_text("import os")


@pytest.mark.parametrize(
    ("damage", "file", "problem"),
    [
        (_flip_byte, "model.safetensors", "sha256"),
        (_truncate, "model.safetensors", "1 bytes instead of 7"),
        (_delete, "sub/tokenizer.json", "missing"),
        (_add, "evil.py", "not in the lineage"),
    ],
)
def test_verify_names_the_damaged_file(store: Store, damage: object, file: str, problem: str) -> None:
    artifact = add_artifact(store, "alpha", FILES)
    assert store.verify(artifact) == []
    damage(artifact)  # type: ignore[operator]
    (found,) = store.verify(artifact)
    assert found.path == file
    assert problem in found.problem


def test_an_unreadable_lineage_is_an_integrity_error(store: Store) -> None:
    artifact = add_artifact(store, "alpha", FILES)
    (artifact.path / "freehold.json").write_text(json.dumps({"id": "alpha"}))
    with pytest.raises(IntegrityError, match="not a lineage"):
        store.artifacts()


def test_what_is_in_use_or_a_parent_stays(store: Store) -> None:
    parent = add_artifact(store, "alpha", FILES)
    child = add_artifact(store, "beta", FILES | {"b": b""}, parents=(parent.id,))
    with store.use(child), pytest.raises(RefusedError, match="in use"):
        store.remove(child)
    with pytest.raises(RefusedError, match="descendants"):
        store.remove(parent)
    store.remove(child)
    store.remove(parent)
    assert store.artifacts() == []
    assert not parent.path.exists()


def test_superseded_leaves_the_newest_the_used_and_the_parents(store: Store) -> None:
    oldest = add_artifact(store, "alpha", FILES)
    used = add_artifact(store, "alpha", FILES | {"v": b"2"})
    parent = add_artifact(store, "alpha", FILES | {"v": b"3"})
    newest = add_artifact(store, "alpha", FILES | {"v": b"4"}, parents=(parent.id,))
    with store.use(used):
        assert [artifact.id for artifact in store.superseded()] == [oldest.id]
        store.collect()
    assert {artifact.id for artifact in store.artifacts()} == {used.id, parent.id, newest.id}


def _stage_and_hang(root: Path, ready: Connection) -> None:
    with Store(root).staging("key") as staging:
        (staging.download / "half.part").write_bytes(b"1234")
        ready.send(None)
        signal.pause()


def test_staging_survives_a_kill_and_its_lock_does_not(store: Store) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_stage_and_hang, args=(store.root, theirs))
    process.start()
    assert ours.poll(30)
    assert store.leftovers() == [], "a folder that somebody works on is no leftover"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    (leftover,) = store.leftovers()
    with store.staging("key") as staging:
        assert (staging.download / "half.part").read_bytes() == b"1234"
        assert store.leftovers() == []
    store.collect()
    assert not leftover.exists()
