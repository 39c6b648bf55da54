"""A private `freehold serve` around a stub engine: what it shares with the real one, and that nothing of it is left."""

import asyncio
import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fixtures.journeys import all_gone
from fixtures.stub_engine import Call, StubEngine

from freehold.core.errors import EngineError
from freehold.core.rehearsal import Rehearsal, rehearse
from freehold.core.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def _list_models(call: Call) -> None:
    await call.reply(b'{"data": [{"id": "tiny", "max_model_len": 1000}]}')


def _deployment(engine: StubEngine, **gateway: object) -> dict[str, Any]:
    remote = {"kind": "remote", "baseUrl": engine.base_url, "leaves": False}
    return {"models": {"tiny": {"engine": remote}}, "gateway": gateway}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "data")


async def test_it_serves_on_a_port_of_its_own_without_a_key_and_leaves_nothing(settings: Settings) -> None:
    async with StubEngine("tiny", _list_models).listening() as engine:
        asked = _deployment(engine, port=1, auth="keys", workers=3)
        rehearsal, processes = await asyncio.to_thread(_look, rehearse(asked, settings))
    assert rehearsal.url.startswith("http://127.0.0.1:") and not rehearsal.url.endswith(":1")
    assert all_gone(processes)
    kept = sorted(str(path.relative_to(settings.home)) for path in settings.home.rglob("*"))
    assert kept == ["engines", "run", "run/logs", "run/logs/rehearsals", "store"], "the real data folder was written to"


def _look(block: AbstractContextManager[Rehearsal]) -> tuple[Rehearsal, list[psutil.Process]]:
    with block as rehearsal:
        child = psutil.Process(rehearsal.pid)
        listed = httpx.get(f"{rehearsal.url}/v1/models").json()
        assert [model["id"] for model in listed["data"]] == ["tiny"]
        assert os.getpgid(rehearsal.pid) == rehearsal.pid, "it has a process group of its own"
        return rehearsal, [child, *child.children(recursive=True)]


async def test_an_error_in_the_block_ends_it_too(settings: Settings) -> None:
    found: list[psutil.Process] = []

    def fail() -> None:
        with rehearse(_deployment(engine), settings) as rehearsal:
            found.append(psutil.Process(rehearsal.pid))
            raise LookupError("in the block")

    async with StubEngine("tiny", _list_models).listening() as engine:
        with pytest.raises(LookupError, match="in the block"):
            await asyncio.to_thread(fail)
    assert all_gone(found)


def test_what_serve_says_is_in_the_error(settings: Settings) -> None:
    deployment = {"models": {"tiny": {"artifact": "nobody-has-this"}}}
    with pytest.raises(EngineError, match="No artifact 'nobody-has-this' in the store"), rehearse(deployment, settings):
        pytest.fail("it came up")


KILLED = """
import sys, time
from pathlib import Path
from freehold.core.rehearsal import rehearse
from freehold.core.settings import Settings
remote = {"kind": "remote", "baseUrl": sys.argv[2], "leaves": False}
with rehearse({"models": {"tiny": {"engine": remote}}}, Settings(home=Path(sys.argv[1]))) as rehearsal:
    print(rehearsal.pid, flush=True)
    time.sleep(600)
"""


async def test_kill_9_of_the_one_who_rehearses_ends_it(settings: Settings) -> None:
    async with StubEngine("tiny", _list_models).listening() as engine:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, str(settings.home), engine.base_url, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        child = psutil.Process(int(await process.stdout.readline()))
        process.kill()
        await process.wait()
        assert await asyncio.to_thread(all_gone, [child])
