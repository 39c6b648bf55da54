"""The file format: what plain tools make of it, going on in the middle, parts, and damage by name."""

import hashlib
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.errors import EnvironmentProblem, IntegrityError, NotFoundError
from freehold.serve.bundle.archive import Archive, ArchiveWriter, Content, Entry
from freehold.serve.bundle.archive.frames import Frame, FrameMap, read_table, table_bytes

MODIFIED_AT = 1_700_000_000
PIECE = 4096


def entry(path: str, data: bytes) -> Entry:
    return Entry(path, len(data), hashlib.sha256(data).hexdigest(), Content(data=data))


def some_entries() -> tuple[Entry, ...]:
    noise = random.Random(7)
    return (
        entry("empty", b""),
        entry("one", b"1"),
        entry("block", bytes(512)),
        entry("deep/" + "long" * 50 + "/name.bin", noise.randbytes(3 * PIECE)),
        entry("weights.bin", noise.randbytes(10 * PIECE + 17)),
        entry("last.txt", b"the end"),
    )


def write(folder: Path, entries: tuple[Entry, ...], part_bytes: int | None = None) -> list[Path]:
    writer = ArchiveWriter(folder / "a.tar.zst", folder / "journal", part_bytes=part_bytes, level=1, piece_bytes=PIECE)
    writer.begin(entries, MODIFIED_AT)
    return [path for path, _ in writer.finish(lambda count: None)]


def contents(path: Path, entries: tuple[Entry, ...]) -> dict[str, bytes]:
    with Archive(path) as archive:
        sizes = [(one.path, one.size_bytes) for one in entries]
        return {file.path: b"".join(file.blocks()) for file in archive.files(sizes, MODIFIED_AT, 0)}


@pytest.mark.parametrize("part_bytes", [None, 5000, 100_000])
def test_what_is_written_is_read_again(tmp_path: Path, part_bytes: int | None) -> None:
    entries = some_entries()
    files = write(tmp_path, entries, part_bytes)
    if part_bytes:
        assert [path.stat().st_size for path in files[:-1]] == [part_bytes] * (len(files) - 1)
    expected = {one.path: one.content.read(0, one.size_bytes) for one in entries}
    assert contents(tmp_path / "a.tar.zst", entries) == expected
    assert contents(files[0], entries) == expected, "by the name of the first part"


def test_plain_tools_read_it(tmp_path: Path) -> None:
    entries = some_entries()
    files = write(tmp_path, entries, 5000)
    packed = subprocess.run(
        ["zstd", "-dc"], input=b"".join(path.read_bytes() for path in files), capture_output=True, check=True
    ).stdout
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "-x", "-C", str(out)], input=packed, check=True)
    for one in entries:
        assert (out / one.path).read_bytes() == one.content.read(0, one.size_bytes)


def test_the_checksums_are_those_of_the_files(tmp_path: Path) -> None:
    writer = ArchiveWriter(tmp_path / "a", tmp_path / "journal", part_bytes=5000, level=1, piece_bytes=PIECE)
    writer.begin(some_entries(), MODIFIED_AT)
    for path, digest in writer.finish(lambda count: None):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


class Killed(BaseException):
    pass


@pytest.mark.parametrize("part_bytes", [None, 5000])
@pytest.mark.parametrize("after", [1, 4, 9, 17])
def test_a_killed_writer_is_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int | None, after: int
) -> None:
    """Whatever was written after the last checkpoint is written again; the result is that of one go."""
    monkeypatch.setattr("freehold.serve.bundle.archive.writing.CHECKPOINT_BYTES", 6000)
    entries = some_entries()
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = [path.read_bytes() for path in write(whole, entries, part_bytes)]
    writer = ArchiveWriter(tmp_path / "a", tmp_path / "journal", part_bytes=part_bytes, level=1, piece_bytes=PIECE)
    assert writer.begin(entries, MODIFIED_AT) == 0
    left = after

    def count_down(count: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    with pytest.raises(Killed):
        writer.finish(count_down)
    with (tmp_path / "journal").open("a") as journal:
        journal.write("123 4")  # torn
    again = ArchiveWriter(tmp_path / "a", tmp_path / "journal", part_bytes=part_bytes, level=1, piece_bytes=PIECE)
    done = again.begin(entries, MODIFIED_AT)
    assert (done > 0) == (after >= 9)
    told: list[int] = []
    files = again.finish(told.append)
    with Archive(tmp_path / "a") as archive:
        assert sum(told) + done == archive._stream._frames.raw_bytes
    assert [path.read_bytes() for path, _ in files] == expected
    for path, digest in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_journal_without_its_archive_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("4000 1024\n")
    entries = some_entries()
    write(tmp_path, entries)
    assert contents(tmp_path / "a.tar.zst", entries)["last.txt"] == b"the end"


def test_a_file_that_changed_since_it_was_recorded_is_refused_by_name(tmp_path: Path) -> None:
    data = random.Random(3).randbytes(3 * PIECE)
    path = tmp_path / "weights.bin"
    path.write_bytes(data)
    recorded = Entry("models/weights.bin", len(data), hashlib.sha256(data).hexdigest(), Content(path))
    for changed, why in ((data[:-1] + b"?", "sha256"), (data[:-1], "bytes instead of")):
        path.write_bytes(changed)
        with pytest.raises(IntegrityError, match=rf"models/weights\.bin.*{why}"):
            write(tmp_path, (entry("first", b"1"), recorded))
    path.unlink()
    with pytest.raises(IntegrityError, match=r"models/weights\.bin.*No such file"):
        write(tmp_path, (recorded,))


@settings(max_examples=60, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@pytest.mark.slow
def test_any_flipped_bit_is_told_and_costs_one_member_alone(
    tmp_path_factory: pytest.TempPathFactory, where: float, bit: int
) -> None:
    entries = some_entries()
    folder = tmp_path_factory.mktemp("flip")
    (path,) = write(folder, entries)
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    path.write_bytes(data)
    damaged = []
    try:
        with Archive(path) as archive:
            sizes = [(one.path, one.size_bytes) for one in entries]
            for one, file in zip(entries, archive.files(sizes, MODIFIED_AT, 0), strict=True):
                try:
                    assert b"".join(file.blocks()) == one.content.read(0, one.size_bytes)
                except IntegrityError as error:
                    assert one.path in str(error)
                    damaged.append(one.path)
    except IntegrityError as error:
        assert "not the end of a bundle" in str(error) or "table of frames" in str(error)
        return
    # The last frame, the tar's end, is nobody's; each other flip is one member's.
    assert len(damaged) <= 1
    with Archive(path) as archive:
        frames = archive._stream._frames
        offset = int(where * len(data))
        is_end = frames.compressed_offset(len(frames.frames) - 1) <= offset
    assert damaged or is_end


def test_missing_parts_and_ends_are_told(tmp_path: Path) -> None:
    entries = some_entries()
    files = write(tmp_path, entries, 20_000)
    assert len(files) == 3
    kept = files[1].read_bytes()
    files[1].unlink()
    with pytest.raises(IntegrityError, match=r"a\.tar\.zst\.001 is missing"):
        Archive(files[0])
    files[1].write_bytes(kept[:-1])
    with pytest.raises(IntegrityError, match="table of frames does not fit"):
        Archive(files[0])
    files[1].write_bytes(kept)
    files[2].unlink()
    with pytest.raises(IntegrityError, match=r"a\.tar\.zst\.001 is not the end of a bundle"):
        Archive(files[0])
    with pytest.raises(NotFoundError, match="No bundle"):
        Archive(tmp_path / "other.tar.zst")
    (tmp_path / "other.tar.zst.000.unfinished").touch()
    with pytest.raises(NotFoundError, match="has not ended"):
        Archive(tmp_path / "other.tar.zst")


def test_a_header_of_another_name_is_refused(tmp_path: Path) -> None:
    """Who unpacks with tar goes by the headers, so they must say what the index says."""
    entries = some_entries()
    write(tmp_path, entries)
    renamed = [("other" if one.path == "one" else one.path, one.size_bytes) for one in entries]
    with Archive(tmp_path / "a.tar.zst") as archive:
        files = list(archive.files(renamed, MODIFIED_AT, 0))
        with pytest.raises(IntegrityError, match="its header in the tar is another file's"):
            list(files[1].blocks())


def test_a_large_member_gets_a_header_that_can_say_so() -> None:
    from freehold.serve.bundle.archive.layout import header_of

    header = header_of("big.safetensors", 40 << 30, MODIFIED_AT)
    assert b"size=42949672960" in header and len(header) % 512 == 0


def test_a_full_disk_is_told_with_the_way_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from freehold.serve.bundle.archive.parts import PartsWriter

    def full(self: PartsWriter, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PartsWriter, "write", full)
    with pytest.raises(EnvironmentProblem, match="No space left") as told:
        write(tmp_path, some_entries())
    assert "goes on where it stopped" in told.value.next_step


def test_the_table_is_read_as_it_was_written_and_no_other_way() -> None:
    frames = [Frame(10, 20), Frame(3, 40)]
    data = table_bytes(frames)
    assert read_table(data) == frames
    assert read_table(data[1:]) is None and read_table(b"") is None
    for place in (0, 5, len(data) - 1, len(data) - 9):
        flipped = bytearray(data)
        flipped[place] ^= 1
        assert read_table(bytes(flipped)) is None
    found = FrameMap(frames)
    assert [found.at(offset) for offset in (0, 19, 20, 59)] == [(0, 0), (0, 19), (1, 0), (1, 39)]
