"""The parent of workers that misbehave."""

import asyncio
import textwrap
from pathlib import Path

import pytest

from freehold.core.errors import EnvironmentProblem
from freehold.core.settings import Settings
from freehold.serve.config import DeploymentConfig
from freehold.serve.workers.process import WorkerProcess
from freehold.serve.workers.states import EngineStates
from freehold.serve.workers.supervising import Workers

REMOTE = {"tiny": {"engine": {"kind": "remote", "baseUrl": "http://127.0.0.1:9"}}}


@pytest.fixture
def workers(home: Path) -> Workers:
    config = DeploymentConfig.model_validate({"models": REMOTE, "gateway": {"workers": 2, "drainTimeoutS": 0}})
    return Workers(config, Settings(home), EngineStates({}), home)


@pytest.fixture
def program(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What runs in a worker's place."""
    path = home / "planted_worker.py"
    monkeypatch.setenv("PYTHONPATH", str(home))
    monkeypatch.setattr("freehold.serve.workers.process.MODULE", path.stem)
    return path


async def test_a_machine_that_starts_no_process_is_an_error(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_room(order: bytes) -> WorkerProcess:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(WorkerProcess, "start", no_room)
    with pytest.raises(EnvironmentProblem, match="worker 1: it cannot be started: .*temporarily unavailable"):
        await workers.start()
    await workers.stop()


async def test_a_worker_that_ends_at_once_is_an_error_and_not_tried_again(workers: Workers, program: Path) -> None:
    program.write_text("import sys; sys.exit(3)")
    with pytest.raises(EnvironmentProblem, match=r"worker \d: it exited with status 3"):
        await workers.start()
    await workers.stop()


async def test_a_worker_that_does_not_drain_is_killed(
    workers: Workers, program: Path, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("freehold.serve.workers.supervising.CLOSING_S", 0.2)
    program.write_text(
        textwrap.dedent("""
            import signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print('{"listening": true}', flush=True)
            signal.pause()
        """)
    )
    await workers.start()
    await workers.stop()
    assert "2 workers did not end by themselves" in caplog.text


async def test_an_order_reaches_the_worker_and_no_command_line(workers: Workers, program: Path, home: Path) -> None:
    program.write_text(
        textwrap.dedent(f"""
            import pathlib, sys
            order, engines = sys.stdin.buffer.readline(), sys.stdin.buffer.readline()
            pathlib.Path({str(home)!r}, "seen").write_bytes(order + engines + repr(sys.argv[1:]).encode())
            print('{{"listening": true}}', flush=True)
            sys.stdin.read()
        """)
    )
    await workers.start()
    await workers.stop()
    order, engines, arguments = (home / "seen").read_bytes().splitlines()
    assert b'"document":{"models":{"tiny"' in order
    assert (engines, arguments) == (b"[]", b"[]")


@pytest.mark.slow
async def test_what_a_worker_was_told_counts_when_it_says_so(workers: Workers, program: Path, home: Path) -> None:
    program.write_text(
        textwrap.dedent(f"""
            import pathlib, sys, time
            print('{{"listening": true}}', flush=True)
            sys.stdin.buffer.readline()
            for line in sys.stdin.buffer:
                while not pathlib.Path({str(home)!r}, "go").exists():
                    time.sleep(0.01)
                print('{{"shown": true}}', flush=True)
        """)
    )
    await workers.start()
    knowing = asyncio.create_task(workers.until_they_know())
    await asyncio.sleep(0.5)
    assert not knowing.done()
    (home / "go").touch()
    await asyncio.wait_for(knowing, 30)
    await workers.stop()
