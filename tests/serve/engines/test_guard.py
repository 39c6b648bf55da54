"""No process outlives its parent: guard, leash and the reaping of orphans."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from freehold.serve.engines import orphans
from freehold.serve.engines.orphans import end_orphans, find_orphans, leash_environment

pytestmark = pytest.mark.slow

# A child that ignores SIGTERM and has started a grandchild in a session of its own: the worst of citizens.
STUBBORN = textwrap.dedent("""
    import os, signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    print(os.getpid(), other.pid, flush=True)
    time.sleep(600)
""")


def _guarded(code: str, grace: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "freehold.serve.engines.guard", "--grace", str(grace), "--"]
    process = subprocess.Popen(
        [*command, sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(dict(os.environ)) + "\n")
    process.stdin.flush()
    return process


def _pids(guard: "subprocess.Popen[str]") -> list[int]:
    assert guard.stdout is not None
    return [int(pid) for pid in guard.stdout.readline().split()]


def _gone(pids: list[int], within_s: float = 20) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not any(_runs(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def guard() -> Iterator["subprocess.Popen[str]"]:
    process = _guarded(STUBBORN, grace=0.2)
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()


def test_sigterm_ends_everything_after_the_grace(guard: "subprocess.Popen[str]") -> None:
    pids = _pids(guard)
    assert len(pids) == 2
    guard.terminate()
    guard.wait(20)
    assert _gone(pids)


def test_the_parents_end_ends_everything(guard: "subprocess.Popen[str]") -> None:
    pids = _pids(guard)
    assert guard.stdin is not None
    guard.stdin.close()  # what the kernel does when the parent is killed
    guard.wait(20)
    assert _gone(pids)


def test_a_killed_parent_leaves_nothing(tmp_path: Path) -> None:
    parent_code = textwrap.dedent(f"""
        import asyncio, os, sys
        from pathlib import Path
        from freehold.serve.engines.child import Child
        async def main():
            log = Path({str(tmp_path)!r}) / "log"
            child = await Child.start((sys.executable, "-c", {STUBBORN!r}), dict(os.environ), log)
            print("started", flush=True)
            await child.wait()
        asyncio.run(main())
    """)
    parent = subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "started\n"
    deadline = time.monotonic() + 20
    lines: list[str] = []
    while len(lines) < 2 and time.monotonic() < deadline:
        lines = (tmp_path / "log").read_text().splitlines()
        lines = lines if lines[-1][:1].isdigit() else []
        time.sleep(0.05)
    pids = [int(pid) for pid in lines[-1].split()]
    assert all(_runs(pid) for pid in pids)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert _gone(pids)


SOCKETS = textwrap.dedent("""
    import os, pathlib, signal, tempfile, time
    folder = os.environ["VLLM_RPC_BASE_PATH"]
    pathlib.Path(folder, "left-behind").touch()
    tempfile.mkstemp(prefix="vllm_dist_")
    os.makedirs(os.environ["TORCHINDUCTOR_CACHE_DIR"])
    print(folder, flush=True)
    time.sleep(600)
""")


@pytest.mark.parametrize("parent_lives", [True, False])
def test_what_an_engine_leaves_in_its_folder_of_sockets_goes_with_it(
    parent_lives: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VLLM_RPC_BASE_PATH", raising=False)
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as usual:  # a socket's path is short
        monkeypatch.setenv("TMPDIR", usual)
        monkeypatch.setenv("VLLM_CACHE_ROOT", str(tmp_path / "vllm"))
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
        _leave_files_behind(parent_lives, Path(usual))
        assert list(Path(usual).iterdir()) == []
    assert (tmp_path / "vllm" / "torchinductor").is_dir(), "the next start has it"


def _leave_files_behind(parent_lives: bool, usual: Path) -> None:
    guard = _guarded(SOCKETS, grace=1)
    assert guard.stdout is not None and guard.stdin is not None
    folder = Path(guard.stdout.readline().strip())
    assert folder.parent == usual
    assert (folder / "left-behind").is_file() and list(folder.glob("vllm_dist_*"))
    if parent_lives:
        guard.terminate()
    guard.stdin.close()
    guard.wait(20)
    guard.stdout.close()
    assert not folder.exists()


def test_the_exit_status_comes_through() -> None:
    for code, status in (("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)):
        process = _guarded(code, grace=1)
        assert process.wait(20) == status
        process.communicate()


def test_the_leash_ends_an_engine_process_whose_guard_is_killed() -> None:
    # The engine's grandchild is in another session and its parent goes with the guard: only the leash reaches it.
    leashed = "from freehold.serve.engines.leash import install; install(); import time; time.sleep(600)"
    code = textwrap.dedent(f"""
        import os, subprocess, sys, time
        other = subprocess.Popen([sys.executable, "-c", {leashed!r}], start_new_session=True)
        print(os.getpid(), other.pid, flush=True)
        time.sleep(600)
    """)
    process = _guarded(code, grace=1)
    pids = _pids(process)
    time.sleep(1)  # for the grandchild to put on its leash
    process.kill()
    process.communicate()
    assert _gone(pids)


def test_the_leash_leaves_an_engine_alone_that_is_not_ours() -> None:
    code = (
        "from freehold.serve.engines.leash import install; install(); import threading; print(threading.active_count())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "1\n"


def test_the_mark_does_not_move_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    before = leash_environment()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 1.0)
    assert leash_environment() == before


def test_orphans_are_found_by_the_mark_of_an_owner_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = f"FREEHOLD_TEST_OWNER_{uuid.uuid4().hex}"  # so that no other process of the machine is an orphan here
    monkeypatch.setattr(orphans, "OWNER_VARIABLE", owner)
    assert leash_environment().keys() == {owner}
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    ours = subprocess.Popen(sleep, env={**os.environ, **leash_environment()})
    gone = subprocess.Popen(sleep, env={**os.environ, owner: "999999999:1"})
    reused = subprocess.Popen(sleep, env={**os.environ, owner: f"{os.getpid()}:1"})
    try:
        assert {process.pid for process in find_orphans()} == {gone.pid, reused.pid}
        assert set(end_orphans()) == {gone.pid, reused.pid}
        assert ours.poll() is None
    finally:
        for process in (ours, gone, reused):
            process.send_signal(signal.SIGKILL)
            process.wait()
