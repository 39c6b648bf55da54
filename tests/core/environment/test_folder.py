"""A folder that is built once, by one process, and never used half made."""

import fcntl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from freehold.core.environment.folder import MARKER, ensure_folder, is_complete, read_marker, remove_folder
from freehold.core.errors import NotFoundError

BUILD_SLOWLY = """
import sys, time
from pathlib import Path
from freehold.core.environment.folder import ensure_folder

def build(folder):
    folder.mkdir()
    (folder / "half").touch()
    with Path(sys.argv[2]).open("a") as built:
        built.write("x")
    while not Path(sys.argv[3]).exists():
        time.sleep(0.01)
    return {}

ensure_folder(Path(sys.argv[1]), build)
"""


def make(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    (folder / "content").write_text("whole")
    return {"version": "1"}


def refuse(folder: Path) -> dict[str, Any]:
    raise AssertionError(f"{folder} was built again")


def start_building(folder: Path, built: Path, go: Path) -> subprocess.Popen[str]:
    """A process that has half made the folder, or waits for the lock, until `go` is there."""
    command = [sys.executable, "-c", BUILD_SLOWLY, str(folder), str(built), str(go)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_until_half(folder: Path, process: subprocess.Popen[str]) -> None:
    while not (folder / "half").exists():
        assert process.poll() is None
        time.sleep(0.01)


def test_builds_once_and_reuses(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "environment"
    assert ensure_folder(folder, make)
    assert not ensure_folder(folder, refuse)
    assert read_marker(folder) == {"version": "1"}


def test_one_half_made_by_a_killed_process_is_built_again(tmp_path: Path) -> None:
    folder, built = tmp_path / "environment", tmp_path / "built"
    process = start_building(folder, built, tmp_path / "go")
    wait_until_half(folder, process)
    process.kill()
    process.communicate()
    assert not is_complete(folder)

    assert ensure_folder(folder, make)
    assert sorted(path.name for path in folder.iterdir()) == [MARKER, "content"]


@pytest.mark.slow
def test_two_processes_at_once_build_it_once(tmp_path: Path) -> None:
    folder, built, go = tmp_path / "environment", tmp_path / "built", tmp_path / "go"
    first = start_building(folder, built, go)
    wait_until_half(folder, first)
    second = start_building(folder, built, go)
    try:
        assert second.stderr is not None
        assert any("Waiting for another process" in line for line in second.stderr)
    finally:
        go.touch()
        said = [process.communicate()[1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], said
    assert built.read_text() == "x"
    assert "Waiting for another process" not in "".join(said)


ORPHAN = """
import subprocess, sys, time
from pathlib import Path
from freehold.core.environment.folder import exclusive, locks_to_pass

with exclusive(Path(sys.argv[1]), what="it"):
    child = "import sys, time; print('started', flush=True); sys.stdin.read()"
    subprocess.run([sys.executable, "-c", child], pass_fds=locks_to_pass())
"""


def test_a_child_that_outlives_its_killed_parent_keeps_the_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ORPHAN, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        parent.kill()
        parent.wait()
        with (tmp_path / "lock").open() as file:
            with pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            parent.communicate()
            fcntl.flock(file, fcntl.LOCK_EX)


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> dict[str, Any]:
        make(folder)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        ensure_folder(tmp_path / "environment", fail)
    assert not (tmp_path / "environment").exists()


def test_a_complete_one_that_no_longer_works_is_built_again(tmp_path: Path) -> None:
    folder = tmp_path / "environment"
    ensure_folder(folder, make)
    (folder / "content").unlink()
    assert ensure_folder(folder, make, is_usable=lambda place: (place / "content").exists())


def test_remove(tmp_path: Path) -> None:
    ensure_folder(tmp_path / "environment", make)
    remove_folder(tmp_path / "environment")
    assert not (tmp_path / "environment").exists()
    with pytest.raises(NotFoundError, match="no complete environment"):
        read_marker(tmp_path / "environment")
