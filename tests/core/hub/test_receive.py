import errno
import hashlib
import os
import subprocess
import sys
import textwrap
from collections import namedtuple
from pathlib import Path

import pytest

from freehold.core.errors import EnvironmentProblem, IntegrityError, RefusedError
from freehold.core.hub.receive import Receiver, check_disk
from freehold.core.hub.snapshot import RemoteFile

CONTENT = bytes(range(256)) * 8192
"""2 MiB."""


def promise(content: bytes = CONTENT, path: str = "sub/model.safetensors") -> RemoteFile:
    return RemoteFile(path, len(content), sha256=hashlib.sha256(content).hexdigest())


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def receiver(tmp_path: Path) -> Receiver:
    return Receiver(tmp_path / "download")


def receive(receiver: Receiver, file: RemoteFile, content: bytes, step: int = 100_000) -> None:
    with receiver.begin(file) as incoming:
        for start in range(incoming.offset, len(content), step):
            incoming.write(content[start : start + step])
        incoming.finish()


def test_a_received_file_has_its_final_name_and_is_known_to_the_next_process(receiver: Receiver) -> None:
    assert receiver.done(promise()) is None
    receive(receiver, promise(), CONTENT)

    assert (receiver.root / "sub/model.safetensors").read_bytes() == CONTENT
    record = Receiver(receiver.root).done(promise())
    assert record is not None
    assert (record.path, record.size_bytes, record.sha256) == (
        "sub/model.safetensors",
        len(CONTENT),
        promise().sha256,
    )
    assert receiver.missing_bytes([promise()]) == 0


@pytest.mark.parametrize("kind", [bytes, memoryview, bytearray])
def test_a_buffer_may_be_used_again_after_write(receiver: Receiver, kind: type) -> None:
    file = promise(b"a" * 4096 + b"b" * 4096)
    buffer = bytearray(4096)
    with receiver.begin(file) as incoming:
        for byte in b"ab":
            buffer[:] = bytes([byte]) * 4096
            incoming.write(bytes(buffer) if kind is bytes else memoryview(buffer))
        assert incoming.finish().sha256 == file.sha256


def test_resume_goes_on_at_the_offset_and_hashes_the_partial(receiver: Receiver) -> None:
    with receiver.begin(promise()) as incoming:
        incoming.write(CONTENT[:700_000])
    assert receiver.missing_bytes([promise()]) == len(CONTENT) - 700_000

    again = Receiver(receiver.root)
    assert again.done(promise()) is None
    with again.begin(promise()) as incoming:
        assert incoming.offset == 700_000
        incoming.write(CONTENT[700_000:])
        incoming.finish()
    assert again.done(promise())


def test_a_whole_partial_needs_no_byte_more(receiver: Receiver) -> None:
    with receiver.begin(promise()) as incoming:
        incoming.write(CONTENT)
    with receiver.begin(promise()) as incoming:
        assert incoming.offset == len(CONTENT)
        incoming.finish()
    assert receiver.done(promise())


def test_a_partial_longer_than_promised_is_discarded(receiver: Receiver) -> None:
    partial = receiver.root / "sub" / "model.safetensors.part"
    partial.parent.mkdir()
    partial.write_bytes(CONTENT + b"!")
    assert receiver.missing_bytes([promise()]) == len(CONTENT)
    with receiver.begin(promise()) as incoming:
        assert incoming.offset == 0
        incoming.write(CONTENT)
        incoming.finish()


def test_a_corrupt_file_is_named_with_both_digests_and_fetched_anew_next_time(receiver: Receiver) -> None:
    bad = CONTENT[:-1] + b"?"
    with pytest.raises(IntegrityError) as caught:
        receive(receiver, promise(), bad)
    assert "sub/model.safetensors is corrupt" in str(caught.value)
    assert str(promise().sha256) in str(caught.value)
    assert hashlib.sha256(bad).hexdigest() in str(caught.value)
    assert list((receiver.root / "sub").iterdir()) == []

    receive(receiver, promise(), CONTENT)
    assert receiver.done(promise())


def test_a_git_blob_id_is_verified(receiver: Receiver) -> None:
    file = RemoteFile("config.json", 2, git_blob_sha1=git_blob(b"{}"))
    with pytest.raises(IntegrityError, match="git blob id"):
        receive(receiver, file, b"[]")
    receive(receiver, file, b"{}")
    record = receiver.done(file)
    assert record and record.sha256 == hashlib.sha256(b"{}").hexdigest()


def test_more_bytes_than_promised_are_refused_at_once(receiver: Receiver) -> None:
    with receiver.begin(promise(b"abc")) as incoming, pytest.raises(IntegrityError, match="promised 3 bytes"):
        incoming.write(b"abcd")
    assert not list(receiver.root.rglob("*.part"))


def test_a_short_file_is_kept_for_a_resume(receiver: Receiver) -> None:
    with receiver.begin(promise()) as incoming, pytest.raises(IntegrityError, match="1000 of 2097152 bytes"):
        incoming.write(CONTENT[:1000])
        incoming.finish()
    with receiver.begin(promise()) as incoming:
        assert incoming.offset == 1000


def test_an_empty_file(receiver: Receiver) -> None:
    receive(receiver, promise(b"", "empty.txt"), b"")
    assert (receiver.root / "empty.txt").read_bytes() == b""
    assert receiver.done(promise(b"", "empty.txt"))


def test_a_file_verified_against_other_promises_is_not_done(receiver: Receiver) -> None:
    receive(receiver, promise(), CONTENT)
    other = CONTENT[:-1] + b"?"
    assert receiver.done(promise(other)) is None
    receive(receiver, promise(other), other)
    assert receiver.done(promise(other))
    assert Receiver(receiver.root).done(promise()) is None


def test_a_file_without_its_journal_line_is_not_trusted(receiver: Receiver) -> None:
    (receiver.root / "planted.bin").write_bytes(b"abc")
    assert receiver.done(promise(b"abc", "planted.bin")) is None


def test_a_torn_journal_line_spoils_no_other(receiver: Receiver) -> None:
    receive(receiver, promise(b"one", "one"), b"one")
    journal = receiver.root.with_name("download.journal")
    journal.write_text(journal.read_text() + '{"record": {"path": "tw')
    again = Receiver(receiver.root)
    receive(again, promise(b"two", "two"), b"two")
    final = Receiver(receiver.root)
    assert final.done(promise(b"one", "one"))
    assert final.done(promise(b"two", "two"))


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../up", "a/../../up", "a\\b", "", ".", "a//b", "a/./b", "nul\0", "x.part", "a/"]
)
def test_a_path_that_leads_out_is_refused(receiver: Receiver, path: str) -> None:
    file = RemoteFile(path, 1)
    with pytest.raises(RefusedError, match="lists a file named"):
        receiver.begin(file)
    with pytest.raises(RefusedError):
        receiver.done(file)


def test_a_partial_that_is_a_link_is_not_followed(receiver: Receiver, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    (receiver.root / "a.bin.part").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        receiver.begin(promise(b"abc", "a.bin"))
    assert victim.read_bytes() == b""


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_how_much_is_missing_and_where(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    write = os.write

    def full_after_one(descriptor: int, data: bytes) -> int:
        if len(data) > 1000:
            return write(descriptor, data[:1000])
        raise OSError(code, os.strerror(code))

    with receiver.begin(promise(b"x" * 1500, "a.bin")) as incoming:
        monkeypatch.setattr(os, "write", full_after_one)
        with pytest.raises(EnvironmentProblem) as caught:
            incoming.write(b"x" * 1500)
        monkeypatch.undo()
    assert "a.bin.part" in caught.value.what
    assert "1.5 KiB of this file are still to come" in caught.value.why
    assert "same command again" in caught.value.next_step
    with receiver.begin(promise(b"x" * 1500, "a.bin")) as incoming:
        assert incoming.offset == 1000


def test_check_disk_says_how_much_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10 << 30, 9 << 30, 1 << 30))
    check_disk(tmp_path / "not" / "there" / "yet", 1 << 30)
    with pytest.raises(EnvironmentProblem, match=r"3.0 GiB are needed, 1.0 GiB are free, 2.0 GiB are missing"):
        check_disk(tmp_path / "not" / "there" / "yet", 3 << 30)


CHILD = """
import sys
from pathlib import Path
from freehold.core.hub.receive import Receiver
from freehold.core.hub.snapshot import RemoteFile
with Receiver(Path(sys.argv[1])).begin(RemoteFile("a.bin", 6)) as incoming:
    incoming.write(b"abc")
    print("holding", flush=True)
    sys.stdin.read()
"""


def test_two_processes_never_write_one_file_and_a_killed_one_leaves_no_lock(receiver: Receiver) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(receiver.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"holding\n"
        with pytest.raises(EnvironmentProblem, match="another process"):
            receiver.begin(RemoteFile("a.bin", 6))
        child.kill()
    with receiver.begin(RemoteFile("a.bin", 6)) as incoming:
        assert incoming.offset == 3
        incoming.write(b"def")
        incoming.finish()
    assert (receiver.root / "a.bin").read_bytes() == b"abcdef"
