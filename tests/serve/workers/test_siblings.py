"""Workers ask each other, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from fixtures.stub_engine import StubEngine

from freehold.core.errors import NotFoundError
from freehold.serve.config import GatewayConfig
from freehold.serve.gateway import serve_gateway
from freehold.serve.gateway.app import Gateway, create_gateway
from freehold.serve.gateway.endpoints import ENDPOINTS
from freehold.serve.gateway.errors import WorkerSilent
from freehold.serve.gateway.principal import Principal
from freehold.serve.gateway.services import Services
from freehold.serve.workers.control import control_socket
from freehold.serve.workers.folder import ControlFolder, make_control_folder
from freehold.serve.workers.siblings import Siblings

CHAT = "/v1/chat/completions"


async def _never(call: object) -> None:
    raise AssertionError("nothing is relayed here")


ENGINES = {name: StubEngine(name, _never) for name in ("tiny", "other")}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that lives is waited for, however long it takes."""
    monkeypatch.setattr("freehold.serve.workers.siblings.ANSWER_TIMEOUT_S", 60.0)


@pytest.fixture
def folder(tmp_path: Path) -> ControlFolder:
    """In a place whose path is longer than the kernel takes for a socket."""
    return make_control_folder(tmp_path / ("long" * 40))


@asynccontextmanager
async def worker(folder: ControlFolder, number: int, requests: int = 0) -> AsyncIterator[tuple[Gateway, Siblings]]:
    """One of two workers, which has answered so many requests."""
    siblings = Siblings(folder, number, 2)
    gateway = create_gateway(ENGINES, GatewayConfig(), services=Services(siblings=siblings))
    for _ in range(requests):
        gateway.metrics.of("tiny").count_request(CHAT, 200)
    async with control_socket(gateway, siblings, folder.address(number)):
        yield gateway, siblings


async def told(gateway: Gateway, siblings: Siblings) -> tuple[float, float]:
    """Requests of the whole gateway and silent workers, by this worker."""
    text = (await siblings.exposition(gateway.metrics.render)).decode()
    series = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    counted = series.get(f'freehold_requests_total{{model="tiny",path="{CHAT}",status="200"}}', "0")
    return float(counted), float(series["freehold_workers_silent"])


async def test_each_worker_answers_for_all(folder: ControlFolder) -> None:
    async with worker(folder, 1, requests=3) as one, worker(folder, 2, requests=4) as other:
        assert await told(*one) == (7, 0)
        assert await told(*other) == (7, 0)


async def test_no_count_goes_back_when_a_worker_ends_or_another_takes_its_place(folder: ControlFolder) -> None:
    async with worker(folder, 1, requests=3) as one:
        async with worker(folder, 2, requests=4):
            assert await told(*one) == (7, 0)
        assert await told(*one) == (7, 1)
        async with worker(folder, 2, requests=1) as second:
            assert await told(*one) == (8, 0)
            assert await told(*second) == (8, 0)
        async with worker(folder, 2, requests=10):
            assert await told(*one) == (18, 0)


async def test_a_worker_that_never_was_is_silent(folder: ControlFolder) -> None:
    async with worker(folder, 1, requests=3) as one:
        assert await told(*one) == (3, 1)


async def test_a_worker_that_hangs_is_not_waited_for(
    folder: ControlFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("freehold.serve.workers.siblings.ANSWER_TIMEOUT_S", 0.1)
    async with worker(folder, 1, requests=3) as one:
        held: list[asyncio.StreamWriter] = []
        hanging = await asyncio.start_unix_server(lambda reader, writer: held.append(writer), folder.address(2))
        assert await told(*one) == (3, 1)
        assert "Worker 2 does not answer its siblings: TimeoutError" in caplog.text
        hanging.close()
        for writer in held:
            writer.close()


def _learn(gateway: Gateway, response_id: str, key_id: str) -> None:
    head = f'{{"id": "{response_id}"'.encode()
    gateway.owners.learn(ENDPOINTS["/v1/responses"], head, ENGINES["other"], Principal(key_id))


async def test_a_response_is_found_at_another_worker_by_its_owner_alone(folder: ControlFolder) -> None:
    async with worker(folder, 1) as (first, _), worker(folder, 2) as (second, _):
        _learn(second, "resp_1", "key_a")
        with pytest.raises(NotFoundError):
            await first.owners.owner("resp_1", Principal("key_b"))
        assert await first.owners.owner("resp_1", Principal("key_a")) is ENGINES["other"]


async def test_a_response_that_a_silent_worker_may_know_is_not_called_unknown(folder: ControlFolder) -> None:
    async with worker(folder, 1) as (first, _):
        with pytest.raises(WorkerSilent, match="resp_1"):
            await first.owners.owner("resp_1", Principal("key_a"))
        async with worker(folder, 2) as (second, _):
            _learn(second, "resp_1", "key_a")
            assert await first.owners.owner("resp_1", Principal("key_a")) is ENGINES["other"]
        assert await first.owners.owner("resp_1", Principal("key_a")) is ENGINES["other"], "it is known here now"


async def test_a_client_is_told_to_ask_again_when_a_worker_is_silent(folder: ControlFolder) -> None:
    services = Services(siblings=Siblings(folder, 1, 2))
    async with (
        serve_gateway(ENGINES, GatewayConfig(port=0), services=services) as server,
        aiohttp.ClientSession() as web,
    ):
        async with web.get(f"{server.url}/v1/responses/resp_1") as answer:
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert (await answer.json())["error"]["code"] == "worker_silent"
        async with worker(folder, 2), web.get(f"{server.url}/v1/responses/resp_1") as answer:
            assert answer.status == 404


async def test_a_response_that_nobody_knows_stays_unknown(folder: ControlFolder) -> None:
    async with worker(folder, 1) as (first, _), worker(folder, 2):
        with pytest.raises(NotFoundError):
            await first.owners.owner("resp_1", Principal(""))
        assert first.owners.known("resp_1") is None


def test_the_folder_is_for_its_owner_alone_and_those_of_the_dead_are_removed(tmp_path: Path) -> None:
    dead = tmp_path / "workers-999999999"
    dead.mkdir()
    (dead / "1.sock").touch()
    folder = make_control_folder(tmp_path)
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert sorted(tmp_path.iterdir()) == [folder.path]
    again = make_control_folder(tmp_path)
    assert again.path == folder.path
    again.remove()
    assert not folder.path.exists()
