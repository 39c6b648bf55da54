"""Several gateway processes behind one port: real processes in front of a stub engine."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import yaml
from fixtures.journeys import Running, all_gone, freehold, running
from fixtures.stub_engine import SSE, Call, StubEngine

from freehold.core.settings import Settings
from freehold.serve.config import DeploymentConfig
from freehold.serve.running import serving as running_deployment
from freehold.serve.workers.process import WorkerProcess

pytestmark = pytest.mark.slow

CHAT = "/v1/chat/completions"
LIMIT_S = 30.0
"""A busy machine gets as long as that; what is waited for takes one or two seconds."""


async def answer(call: Call) -> None:
    """What a vLLM answers to the requests of these tests."""
    if call.target == "/v1/models":
        await call.reply(b'{"data": [{"id": "tiny", "max_model_len": 100}]}')
    elif call.target == "/v1/responses":
        await call.reply(json.dumps({"id": f"resp_{call.json['input']}", "object": "response"}).encode())
    else:
        await call.reply(json.dumps({"asked": call.target, "usage": {"prompt_tokens": 3}}).encode())


class SlowStream:
    """A stream that goes on when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        if call.method == "GET":
            await answer(call)
            return
        await call.start(content_type=SSE)
        await call.chunk(b"data: 1\n\n")
        await self.go.wait()
        await call.chunk(b"data: [DONE]\n\n")
        await call.end()


@pytest.fixture
async def engine() -> AsyncIterator[StubEngine]:
    async with StubEngine("tiny", answer).listening() as stub:
        yield stub


@pytest.fixture
async def other() -> AsyncIterator[StubEngine]:
    async with StubEngine("other", answer).listening() as stub:
        yield stub


class Front:
    """A `freehold serve` with workers."""

    def __init__(self, process: Running, url: str, folder: Path, count: int) -> None:
        self.process = process
        self.url = url
        self._folder = folder
        self._numbers = range(1, count + 1)

    @property
    def workers(self) -> list[psutil.Process]:
        return self.process.descendants()

    @property
    def parent(self) -> int:
        return self.process.process.pid

    async def until(self, pattern: str) -> None:
        """Wait for a line of its log."""
        await asyncio.to_thread(self.process.until, pattern, LIMIT_S)

    async def series(self, name: str) -> list[float]:
        """A series of `/metrics`, worker by worker, as each tells its siblings."""
        found = []
        for number in self._numbers:
            connector = aiohttp.UnixConnector(path=str(self._folder / f"workers-{self.parent}" / f"{number}.sock"))
            async with aiohttp.ClientSession(connector=connector) as session, session.get("http://x/metrics") as told:
                found.append(_value(await told.text(), name))
        return found

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, str]:
        """Status and body of a request on a connection of its own: any worker may get it."""
        async with aiohttp.ClientSession() as session, session.request(method, f"{self.url}{path}", **more) as response:
            return response.status, await response.text()

    async def chat(self, times: int) -> list[int]:
        """Statuses of so many requests."""
        return [await _chat(self.url) for _ in range(times)]

    async def total(self, name: str) -> float:
        """A series of the gateway's `/metrics`."""
        return _value((await self.ask("GET", "/metrics"))[1], name)

    async def hears_all(self) -> bool:
        """Whether every worker has told of itself when one was asked."""
        return await self.total("freehold_workers_silent") == 0


async def _chat(url: str) -> int:
    """Status of a request on a connection of its own."""
    async with aiohttp.ClientSession() as session, session.post(f"{url}{CHAT}", json={"model": "tiny"}) as response:
        return response.status


def _value(text: str, name: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


async def _until(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await is_so():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def serving(home: Path, workers: int, *engines: StubEngine, **gateway: object) -> AsyncIterator[Front]:
    """A gateway of so many workers in front of these engines, ready."""
    models = {item.name: {"engine": {"kind": "remote", "baseUrl": item.base_url}} for item in engines}
    config = home / "freehold.yaml"
    config.write_text(yaml.safe_dump({"models": models, "gateway": {"port": 0, **gateway}}))
    with running(*freehold("serve", str(config), "--workers", str(workers)), env={}) as process:
        url = (await asyncio.to_thread(process.until, r"Ready after .* at (\S+)/v1", LIMIT_S))[1]
        yield Front(process, url, home / "freehold" / "run", workers)


async def test_every_worker_answers_and_the_metrics_are_of_all(home: Path, engine: StubEngine) -> None:
    async with serving(home, 3, engine) as front:
        assert len({process.pid for process in front.workers}) == 3
        assert front.process.text.count("Gateway on ") == 1
        assert await front.chat(60) == [200] * 60
        each = await front.series("freehold_requests_total")
        assert all(each) and sum(each) == 60
        for _ in range(5):
            assert await front.total("freehold_requests_total") == 60
            assert await front.total("freehold_prompt_tokens_total") == 180
        await _until(front.hears_all)  # a busy worker may be silent once, and its numbers count nevertheless
        assert (await front.ask("GET", "/ready"))[0] == 200


async def test_a_killed_worker_is_replaced_and_its_numbers_remain(home: Path, engine: StubEngine) -> None:
    async with serving(home, 2, engine) as front:
        await front.chat(20)
        await front.series("freehold_requests_total")  # by which each worker leaves its numbers to the others
        before = await front.total("freehold_requests_total")
        killed = front.workers[0]
        killed.kill()
        await front.until("has ended: killed by SIGKILL; another one in")
        assert await front.chat(5) == [200] * 5
        await front.until(r"(?s)(worker . listens.*){3}")
        assert killed.pid not in {process.pid for process in front.workers}
        each = await front.series("freehold_requests_total")
        assert await front.chat(40) == [200] * 40
        assert all(now > then for now, then in zip(await front.series("freehold_requests_total"), each, strict=True))
        assert await front.total("freehold_requests_total") == before + 45


async def test_no_worker_outlives_a_killed_parent(home: Path, engine: StubEngine) -> None:
    async with serving(home, 2, engine) as front:
        workers = front.workers
        assert len(workers) == 2
        front.process.process.kill()
        assert await asyncio.to_thread(all_gone, workers, 20)


@pytest.mark.slow
async def test_no_drain_outlives_a_killed_parent_for_long(home: Path, engine: StubEngine) -> None:
    engine.answer = SlowStream()
    async with serving(home, 2, engine) as front, aiohttp.ClientSession(front.url) as client:
        workers = front.workers
        response = await client.post(CHAT, json={"model": "tiny", "stream": True})
        front.process.process.send_signal(signal.SIGTERM)
        await front.until("Draining")
        await _until(lambda: _is_draining(front))
        front.process.process.kill()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
        assert await asyncio.to_thread(all_gone, workers, 20)


async def test_sigterm_lets_a_stream_of_each_worker_finish(home: Path, engine: StubEngine) -> None:
    engine.answer = stream = SlowStream()
    async with serving(home, 2, engine) as front, AsyncExitStack() as stack:
        running = []
        for _ in range(20):
            session = await stack.enter_async_context(aiohttp.ClientSession())
            running.append(await session.post(front.url + CHAT, json={"model": "tiny", "stream": True}))
        assert all(await front.series("freehold_requests_in_flight"))
        workers = front.workers
        front.process.process.send_signal(signal.SIGTERM)
        await front.until("Draining")
        await _until(lambda: _is_draining(front))
        stream.go.set()
        for response in running:
            assert await response.read() == b"data: 1\n\ndata: [DONE]\n\n"
        assert await asyncio.to_thread(front.process.ended, LIMIT_S) == 0
        assert "Stopped." in front.process.text
        assert "cut off" not in front.process.text
        assert await asyncio.to_thread(all_gone, workers, 1)
        assert not list((home / "freehold" / "run").glob("workers-*"))


async def _is_draining(front: Front) -> bool:
    """Whether no worker takes requests any more. One with nothing to finish ends at once, and what waits at its socket
    in that moment is reset by the kernel: another one has to be asked."""
    try:
        return [(await front.ask("GET", "/ready"))[0] for _ in range(10)] == [503] * 10
    except aiohttp.ClientConnectionError:
        return False


async def test_ready_is_said_when_every_worker_knows(
    home: Path, engine: StubEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("freehold.serve.workers.states.LOOK_S", 3600)  # nobody notices by himself
    models = {"tiny": {"engine": {"kind": "remote", "baseUrl": engine.base_url}}}
    config = DeploymentConfig.model_validate({"models": models, "gateway": {"port": 0, "workers": 2}})
    async with running_deployment(config, Settings(home)) as deployment:
        await asyncio.wait_for(deployment.until_ready(), LIMIT_S)
        assert "Ready after" in capsys.readouterr().err
        assert [await _chat(deployment.url) for _ in range(20)] == [200] * 20


async def test_a_worker_that_hangs_does_not_hide_that_the_others_are_ready(
    home: Path, engine: StubEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("freehold.serve.running.KNOWN_LIMIT_S", 0.5)
    never = property(lambda worker: -1, lambda worker, version: None)
    monkeypatch.setattr(WorkerProcess, "knows", never, raising=False)
    models = {"tiny": {"engine": {"kind": "remote", "baseUrl": engine.base_url}}}
    config = DeploymentConfig.model_validate({"models": models, "gateway": {"port": 0, "workers": 2}})
    async with running_deployment(config, Settings(home)) as deployment:
        await asyncio.wait_for(deployment.until_ready(), LIMIT_S)
        told = capsys.readouterr().err
        assert "Not every worker of the gateway knew of it after" in told
        assert "Ready after" in told


@pytest.mark.slow
async def test_what_happens_to_an_engine_is_seen_by_every_worker(home: Path, engine: StubEngine) -> None:
    async with serving(home, 2, engine) as front:
        assert await front.series("freehold_engine_ready") == [1, 1]

        async def refuse(call: Call) -> None:
            await call.reply(b"{}", 500)

        async def all_see(ready: int) -> bool:
            return await front.series("freehold_engine_ready") == [ready, ready]

        engine.answer = refuse
        await _until(lambda: all_see(0))  # a remote engine is looked at every five seconds
        status, text = await front.ask("POST", CHAT, json={"model": "tiny"})
        assert status == 503
        assert "unreachable" in json.loads(text)["error"]["message"]


async def test_a_stored_response_is_found_by_whichever_worker_is_asked(
    home: Path, engine: StubEngine, other: StubEngine
) -> None:
    async with serving(home, 2, engine, other) as front:
        assert (await front.ask("POST", "/v1/responses", json={"model": "other", "input": "7"}))[0] == 200
        for _ in range(10):
            status, text = await front.ask("GET", "/v1/responses/resp_7")
            assert (status, json.loads(text)["asked"]) == (200, "/v1/responses/resp_7")
        assert [call.target for call in other.calls].count("/v1/responses/resp_7") == 10
        assert (await front.ask("GET", "/v1/responses/resp_8"))[0] == 404


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def _fails(home: Path, gateway: dict[str, object]) -> tuple[int, str]:
    """Exit status and output of a start that comes to nothing."""
    config = home / "freehold.yaml"
    models = {"tiny": {"engine": {"kind": "remote", "baseUrl": "http://127.0.0.1:9"}}}
    config.write_text(yaml.safe_dump({"models": models, "gateway": {"workers": 2, **gateway}}))
    with running(*freehold("serve", str(config)), env={}) as process:
        return process.ended(LIMIT_S), process.text


def test_a_taken_port_is_an_error_with_its_remedy(home: Path, taken: int) -> None:
    status, text = _fails(home, {"port": taken})
    assert status == 7
    assert f"Port {taken} on 127.0.0.1 is taken" in text
    assert "gateway.port" in text


def test_workers_that_cannot_start_say_why_and_nothing_is_left(home: Path) -> None:
    spool = home / "freehold" / "spool"
    spool.parent.mkdir(parents=True)
    spool.write_text("a file where a folder should be")
    status, text = _fails(home, {"port": 0})
    assert status == 7
    assert "The gateway's workers did not start" in text
    assert "usage spool" in text
