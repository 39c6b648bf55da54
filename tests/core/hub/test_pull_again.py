"""A pull that runs many times, as jobs and pods do: at once if all is there, never twice, writing nowhere else."""

import json
import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.journeys import freehold
from fixtures.mirrors import Server
from fixtures.models import add_artifact, hub_source, read_files

from freehold.core.errors import IntegrityError
from freehold.core.hub import pull as pulling
from freehold.core.hub.pull import PullOptions, pull
from freehold.core.settings import Settings, load_settings
from freehold.core.store import ProbeReference, Store

pytestmark = pytest.mark.slow

MODEL = "owner/tiny"
COMMIT = "c" * 40
NOWHERE = "http://127.0.0.1:9"
LIMIT_S = 120


@pytest.fixture
def settings(home: Path, mirror: Server, store: Store, tiny_model: Path) -> Settings:
    """A data folder of its own, and a hub with a tiny model."""
    add_artifact(store, "tiny", read_files(tiny_model), source=hub_source(MODEL, COMMIT))
    return replace(load_settings(), hub_endpoint=mirror.url)


@pytest.fixture
def inside(settings: Settings) -> Store:
    return Store(settings.store_root)


@pytest.fixture
def options(tmp_path: Path) -> PullOptions:
    return PullOptions(lock_file=tmp_path / "lock" / "freehold.lock", probe=False)


def test_what_is_locked_and_there_needs_no_hub(
    settings: Settings, inside: Store, options: PullOptions, mirror: Server
) -> None:
    first = pull(MODEL, options, settings, inside)
    mirror.seen.clear()
    text = options.lock_file.read_text()
    (options.lock_file.parent / "freehold.lock").chmod(0o444)
    cut_off = replace(settings, hub_endpoint=NOWHERE)
    assert pull(f"{MODEL}@{COMMIT}", replace(options, locked=True), cut_off, inside).id == first.id
    assert mirror.seen == [] and options.lock_file.read_text() == text


def test_what_is_there_and_not_as_locked_is_refused(settings: Settings, inside: Store, options: PullOptions) -> None:
    pull(MODEL, options, settings, inside)
    lock = json.loads(options.lock_file.read_text())
    lock["models"][MODEL]["files"][0]["sha256"] = "0" * 64
    options.lock_file.write_text(json.dumps(lock))
    with pytest.raises(IntegrityError, match="locked at 0000"):
        pull(MODEL, replace(options, locked=True), settings, inside)


def test_another_name_is_another_artifact(settings: Settings, inside: Store, options: PullOptions) -> None:
    first = pull(MODEL, options, settings, inside)
    second = pull(MODEL, replace(options, locked=True, name="other"), settings, inside)
    assert (first.name, second.name) == ("tiny", "other")


def test_a_reference_that_could_not_be_computed_is_tried_again(
    settings: Settings, inside: Store, options: PullOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []

    def reference(answer: ProbeReference) -> Any:
        def compute(folder: Path, **_: Any) -> ProbeReference:
            tried.append(folder)
            return answer

        return compute

    small = ProbeReference(status="not-computed", reason="float32 on this machine needs too much")
    probing = replace(options, probe=True)
    monkeypatch.setattr(pulling, "try_probe_reference", reference(small))
    first = pull(MODEL, probing, settings, inside)
    assert first.lineage.probe == small
    monkeypatch.setattr(pulling, "try_probe_reference", reference(ProbeReference(status="computed")))
    for again in (replace(probing, locked=True), probing):
        assert pull(MODEL, again, settings, inside).lineage.probe.status == "computed"
    assert inside.get(first.id).lineage.probe.status == "computed"
    assert len(tried) == 2, "what is computed is not computed again"


def test_two_processes_at_once_download_once_and_write_nothing_elsewhere(
    settings: Settings, inside: Store, options: PullOptions, mirror: Server, tmp_path: Path
) -> None:
    outside = tmp_path / "root"
    outside.mkdir()
    options.lock_file.parent.mkdir()
    command = freehold("pull", MODEL, "--name", "tiny", "--no-probe", "--lock-file", str(options.lock_file))
    env = {**os.environ, "HF_ENDPOINT": mirror.url, "HOME": str(outside), "TMPDIR": str(outside)}
    pulls = [
        subprocess.Popen(command, cwd=outside, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told: list[tuple[str, str]] = []
    waiting = [threading.Thread(target=lambda one=one: told.append(one.communicate(timeout=LIMIT_S))) for one in pulls]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    assert [one.returncode for one in pulls] == [0, 0, 0], told
    assert len(mirror.gets("model.safetensors")) == 1
    assert sum("in the store already" in said for _, said in told) == 2
    assert len(inside.artifacts()) == 1 and inside.leftovers() == []
    assert list(outside.iterdir()) == []
