import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fixtures.faulty_hub import COMMIT, REPO, Fault, FaultyHub
from fixtures.mirrors import Server
from fixtures.models import add_artifact, hub_source

from freehold.core.errors import (
    AccessDeniedError,
    EnvironmentProblem,
    FreeholdError,
    IntegrityError,
    NotFoundError,
    OfflineError,
    RemoteError,
    UserError,
)
from freehold.core.hub.huggingface import HubSource
from freehold.core.hub.receive import Receiver
from freehold.core.hub.transfer import Retries
from freehold.core.progress import Silent
from freehold.core.settings import Settings
from freehold.core.store import Store

IMPATIENT = Retries(attempts=3, first_wait_s=0.01)


class Count:
    """A progress that adds up."""

    total = 0

    def advance(self, count: int) -> None:
        self.total += count


def source(url: str, tmp_path: Path, *, repo: str = REPO, revision: str | None = None, **settings: object) -> HubSource:
    made = Settings(home=tmp_path, hub_endpoint=url, **settings)  # type: ignore[arg-type]
    return HubSource(repo, revision, made, retries=IMPATIENT)


def fetch(hub: HubSource, root: Path) -> int:
    """Pull everything; the number of bytes that were new."""
    snapshot, count = hub.resolve(), Count()
    hub.fetch(snapshot, snapshot.files, Receiver(root), count)
    return count.total


# -- from a mirror -----------------------------------------------------------------------------------------------------


def test_a_mirror_is_a_hub(mirror: Server, store: Store, tmp_path: Path) -> None:
    weights = os.urandom(3_000_000)
    files = {"config.json": b'{"a": 1}', "sub/model.safetensors": weights, "empty.txt": b""}
    add_artifact(store, "tiny", files, source=hub_source("acme/tiny", "d" * 40), license="apache-2.0")

    hub = source(mirror.url, tmp_path)
    snapshot = hub.resolve()
    assert (snapshot.kind, snapshot.location, snapshot.revision, snapshot.commit) == ("hub", REPO, "main", "d" * 40)
    assert snapshot.license == "apache-2.0"
    promised = {file.path: file for file in snapshot.files}
    assert promised["sub/model.safetensors"].sha256 == hashlib.sha256(weights).hexdigest()
    assert promised["config.json"].git_blob_sha1 == hashlib.sha1(b'blob 8\0{"a": 1}').hexdigest()

    root, count = tmp_path / "download", Count()
    records = hub.fetch(snapshot, snapshot.files, Receiver(root), count)
    assert [record.path for record in records] == [file.path for file in snapshot.files]
    assert {path: (root / path).read_bytes() for path in files} == files
    assert count.total == sum(map(len, files.values()))

    mirror.seen.clear()
    assert fetch(hub, root) == 0
    assert not mirror.gets("model.safetensors")


def test_a_listing_without_sizes_is_completed_from_the_files_headers(faulty_hub: FaultyHub, tmp_path: Path) -> None:
    faulty_hub.lists_names_only = True
    snapshot = source(faulty_hub.url, tmp_path).resolve()
    weights = faulty_hub.files["model.safetensors"]
    assert {file.path: (file.size_bytes, file.sha256) for file in snapshot.files}["model.safetensors"] == (
        len(weights),
        hashlib.sha256(weights).hexdigest(),
    )
    assert snapshot.license == "mit"


# -- interrupted -------------------------------------------------------------------------------------------------------


def test_a_cut_connection_resumes_where_it_was_cut(
    faulty_hub: FaultyHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty_hub.faults["model.safetensors"] = [Fault(cut_after=1_000_000), Fault(cut_after=500_000)]
    size = sum(map(len, faulty_hub.files.values()))

    assert fetch(source(faulty_hub.url, tmp_path), tmp_path / "download") == size

    asked = [span for path, span in faulty_hub.requests if path == "model.safetensors"]
    assert asked == ["", "bytes=1000000-", "bytes=1500000-"]
    assert sum(faulty_hub.sent.values()) == size
    shown = capsys.readouterr().err
    assert "model.safetensors: interrupted at 976.6 KiB of 2.9 MiB" in shown
    assert "try 2 of 3" in shown


def test_a_server_that_ignores_ranges_costs_time_but_no_correctness(faulty_hub: FaultyHub, tmp_path: Path) -> None:
    faulty_hub.faults["model.safetensors"] = [Fault(cut_after=1_000_000), Fault(ignore_range=True)]
    fetch(source(faulty_hub.url, tmp_path), tmp_path / "download")
    assert (tmp_path / "download/model.safetensors").read_bytes() == faulty_hub.files["model.safetensors"]


def test_a_hub_that_keeps_cutting_is_given_up_and_resumed_by_the_next_run(
    faulty_hub: FaultyHub, tmp_path: Path
) -> None:
    faulty_hub.faults["model.safetensors"] = [Fault(cut_after=100_000)] * 4
    with pytest.raises(OfflineError, match=f"Cannot reach {faulty_hub.url}") as caught:
        fetch(source(faulty_hub.url, tmp_path), tmp_path / "download")
    assert "same command again: it goes on where it stopped" in caught.value.next_step
    assert len(faulty_hub.requests) == 4 + 1

    fetch(source(faulty_hub.url, tmp_path), tmp_path / "download")
    assert faulty_hub.requests[-1] == ("model.safetensors", "bytes=400000-")
    assert sum(faulty_hub.sent.values()) == sum(map(len, faulty_hub.files.values()))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_body_without_a_length_is_read_too(faulty_hub: FaultyHub, tmp_path: Path, file: str) -> None:
    faulty_hub.faults[file] = [Fault(chunked=True)]
    fetch(source(faulty_hub.url, tmp_path), tmp_path / "download")
    assert (tmp_path / "download" / file).read_bytes() == faulty_hub.files[file]


def test_a_connection_that_falls_silent_is_given_up(
    faulty_hub: FaultyHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("freehold.core.hub.transfer.READ_TIMEOUT_S", 0.2)
    faulty_hub.faults["model.safetensors"] = [Fault(pause_s=1.5)]
    fetch(source(faulty_hub.url, tmp_path), tmp_path / "download")
    assert "nothing arrived for 0.2 s" in capsys.readouterr().err


def test_small_files_share_connections(faulty_hub: FaultyHub, tmp_path: Path) -> None:
    faulty_hub.files = {f"{number}.json": b"{}" for number in range(40)}
    fetch(source(faulty_hub.url, tmp_path), tmp_path / "download")
    assert len(faulty_hub.peers) <= 5


def test_a_passing_server_error_is_tried_again(faulty_hub: FaultyHub, tmp_path: Path) -> None:
    faulty_hub.faults["model.safetensors"] = [Fault(status=503), Fault(status=500)]
    fetch(source(faulty_hub.url, tmp_path), tmp_path / "download")
    assert (tmp_path / "download/model.safetensors").is_file()


def test_a_lasting_server_error_is_reported(faulty_hub: FaultyHub, tmp_path: Path) -> None:
    faulty_hub.faults["model.safetensors"] = [Fault(status=503)] * 9
    with pytest.raises(RemoteError, match=f"{faulty_hub.url} failed on {REPO}: HTTP 503") as caught:
        fetch(source(faulty_hub.url, tmp_path), tmp_path / "download")
    assert "same command again" in caught.value.next_step


def test_a_corrupt_byte_is_found_and_fetched_anew(faulty_hub: FaultyHub, tmp_path: Path) -> None:
    faulty_hub.faults["model.safetensors"] = [Fault(corrupt=True)]
    with pytest.raises(IntegrityError, match=r"model\.safetensors is corrupt: its sha256 should be"):
        fetch(source(faulty_hub.url, tmp_path), tmp_path / "download")
    fetch(source(faulty_hub.url, tmp_path), tmp_path / "download")
    assert (tmp_path / "download/model.safetensors").read_bytes() == faulty_hub.files["model.safetensors"]


def test_a_full_disk_stops_the_other_files_too(
    faulty_hub: FaultyHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty_hub.files["other.safetensors"] = bytes(20 << 20)
    faulty_hub.faults["other.safetensors"] = [Fault(pause_s=0.05)]
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 1000 and Path(f"/proc/self/fd/{descriptor}").readlink().name == "model.safetensors.part":
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(EnvironmentProblem, match=r"disk is full while writing .*model\.safetensors"):
        fetch(source(faulty_hub.url, tmp_path), tmp_path / "download")
    assert faulty_hub.sent["other.safetensors"] < 20 << 20


CHILD = """
import sys
from pathlib import Path
from freehold.core.hub.huggingface import HubSource
from freehold.core.hub.receive import Receiver
from freehold.core.progress import Silent
from freehold.core.settings import Settings
url, root = sys.argv[1:]
hub = HubSource("acme/tiny", None, Settings(home=Path(root), hub_endpoint=url))
snapshot = hub.resolve()
hub.fetch(snapshot, snapshot.files, Receiver(Path(root)), Silent())
"""


@pytest.mark.slow
def test_after_kill_9_nothing_is_lost_and_nothing_fetched_twice(faulty_hub: FaultyHub, tmp_path: Path) -> None:
    faulty_hub.files["model.safetensors"] = os.urandom(8 << 20)
    faulty_hub.faults["model.safetensors"] = [Fault(pause_s=0.02)]
    root = tmp_path / "download"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen([sys.executable, "-c", CHILD, faulty_hub.url, str(root)], env=environment)
    partial = root / "model.safetensors.part"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size > 2 << 20 and (root / "config.json").exists()):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = partial.stat().st_size
    assert 2 << 20 < kept < 8 << 20

    faulty_hub.requests.clear()
    faulty_hub.sent.clear()
    assert fetch(source(faulty_hub.url, tmp_path), root) == (8 << 20) - kept
    assert faulty_hub.requests == [("model.safetensors", f"bytes={kept}-")]
    assert faulty_hub.sent == {"model.safetensors": (8 << 20) - kept}
    assert (root / "model.safetensors").read_bytes() == faulty_hub.files["model.safetensors"]


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "token", "kind", "what", "step"),
    [
        (
            (403, "GatedRepo"),
            None,
            AccessDeniedError,
            "acme/tiny is gated.*no token was sent",
            "Request access at {url}/",
        ),
        ((403, "GatedRepo"), "hf_x", AccessDeniedError, "gated.*this token has not been granted", "Request access"),
        ((401, "RepoNotFound"), None, NotFoundError, "has no model acme/tiny.*private and no token", "HF_TOKEN"),
        ((404, "RepoNotFound"), "hf_x", NotFoundError, "has no model acme/tiny.*this token may not", "Check the name"),
        ((401, ""), "hf_x", AccessDeniedError, "refuses access to acme/tiny.*the token is not accepted", "HF_TOKEN"),
        ((500, ""), None, RemoteError, "failed on acme/tiny: HTTP 500", "Run the same command again"),
        ((418, ""), None, RemoteError, "failed on acme/tiny: HTTP 418", "Check HF_ENDPOINT"),
    ],
)
def test_each_refusal_has_its_own_error(
    faulty_hub: FaultyHub,
    tmp_path: Path,
    refusal: tuple[int, str],
    token: str | None,
    kind: type[FreeholdError],
    what: str,
    step: str,
) -> None:
    faulty_hub.refusal = refusal
    with pytest.raises(kind, match=what) as caught:
        source(faulty_hub.url, tmp_path, hub_token=token).resolve()
    assert type(caught.value) is kind
    assert step.format(url=faulty_hub.url) in caught.value.next_step
    assert "hf_x" not in str(caught.value) + caught.value.next_step


def test_a_wrong_revision_is_named(faulty_hub: FaultyHub, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="acme/tiny has no revision 'v9'"):
        source(faulty_hub.url, tmp_path, revision="v9").resolve()


def test_a_name_that_is_no_repository_id(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'a/b/c' is not a repository id"):
        source("http://127.0.0.1:9", tmp_path, repo="a/b/c").resolve()


def test_a_dead_port_is_offline(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OfflineError, match=f"Cannot reach {url}: .*refused") as caught:
            source(url, tmp_path).resolve()
    assert "freehold mirror" in caught.value.next_step


def test_offline_opens_no_socket(tmp_path: Path, socket_disabled: None) -> None:
    hub = source("http://127.0.0.1:9", tmp_path, offline=True)
    with pytest.raises(OfflineError, match="--offline opens no connection"):
        hub.resolve()


def test_a_page_that_is_no_hub(mirror: Server, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="has no model acme/tiny"):
        source(mirror.url + "/elsewhere", tmp_path).resolve()


def test_the_commit_is_what_is_fetched(faulty_hub: FaultyHub, tmp_path: Path) -> None:
    hub = source(faulty_hub.url, tmp_path, revision="main")
    snapshot = hub.resolve()
    assert (snapshot.revision, snapshot.commit) == ("main", COMMIT)
    hub.fetch(snapshot, snapshot.files[:1], Receiver(tmp_path / "download"), Silent())
    assert [path for path, _ in faulty_hub.requests] == ["config.json"]
