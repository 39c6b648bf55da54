"""Start, drain and stop."""

import asyncio
import signal
import socket

import aiohttp
import pytest
from fixtures.stub_engine import SSE, Call, StubEngine

from freehold.core.errors import EnvironmentProblem
from freehold.serve.config import GatewayConfig
from freehold.serve.gateway import GatewayServer, create_gateway

CHAT = "/v1/chat/completions"
STREAM = {"model": "tiny", "stream": True}


class SlowAnswer:
    """A stream that goes on when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        await call.start(content_type=SSE)
        await call.chunk(b"data: 1\n\n")
        await self.go.wait()
        await call.chunk(b"data: [DONE]\n\n")
        await call.end()


async def test_a_drain_finishes_what_runs_and_refuses_what_comes(
    gateway: GatewayServer, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    engine.answer = slow = SlowAnswer()
    async with client.post(CHAT, json=STREAM) as running:
        draining = asyncio.create_task(gateway.gateway.drain(30))
        await asyncio.sleep(0)
        async with client.post(CHAT, json=STREAM) as refused:
            assert refused.status == 503
            assert int(refused.headers["retry-after"]) > 0
            assert (await refused.json())["error"]["code"] == "shutting_down"
        async with client.get("/ready") as ready:
            assert (ready.status, (await ready.json())["status"]) == (503, "draining")
        async with client.get("/health") as health:
            assert health.status == 200
        slow.go.set()
        assert await running.read() == b"data: 1\n\ndata: [DONE]\n\n"
    assert await draining == 0


async def test_a_stream_that_outlasts_the_drain_ends_in_an_error(
    gateway: GatewayServer, client: aiohttp.ClientSession, engine: StubEngine
) -> None:
    engine.answer = SlowAnswer()
    received = b""
    async with client.post(CHAT, json=STREAM) as running:
        received += await running.content.readany()
        stopping = asyncio.create_task(gateway.gateway.drain(0.05))
        with pytest.raises(aiohttp.ClientPayloadError):
            async for piece in running.content.iter_any():
                received += piece
    assert await stopping == 1
    assert b'"code": "shutting_down"' in received
    assert b"[DONE]" not in received
    await engine.calls[0].left.wait()


@pytest.mark.slow
async def test_a_client_that_does_not_read_does_not_hold_up_the_stop(engine: StubEngine) -> None:
    async def flood(call: Call) -> None:
        await call.start(content_type=SSE)
        while not call.left.is_set():
            if call.is_blocked:
                await asyncio.sleep(0.01)
            else:
                await call.chunk(b"data: " + b"x" * 100_000 + b"\n\n")

    engine.answer = flood
    server = GatewayServer(create_gateway({"tiny": engine}, GatewayConfig(port=0)), GatewayConfig(port=0))
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(
        b'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 30\r\n\r\n{"model":"tiny","stream":true}'
    )
    await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(30):
        assert await server.stop(drain_timeout_s=0.2) == 1
    writer.close()


async def test_the_port_is_free_again_after_the_stop(engine: StubEngine) -> None:
    config = GatewayConfig(port=0, drain_timeout_s=0)
    server = GatewayServer(create_gateway({"tiny": engine}, config), config)
    await server.start()
    port = server.port
    assert server.url == f"http://127.0.0.1:{port}"
    waiting = asyncio.create_task(server.wait())
    await server.stop()
    await waiting
    again = GatewayConfig(port=port, drain_timeout_s=0)
    server = GatewayServer(create_gateway({"tiny": engine}, again), again)
    await server.start()
    assert server.port == port
    await server.stop()


async def test_a_taken_port_is_an_error_with_its_remedy(engine: StubEngine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = GatewayConfig(port=port)
        with pytest.raises(EnvironmentProblem) as caught:
            await GatewayServer(create_gateway({"tiny": engine}, config), config).start()
    assert str(caught.value) == f"Port {port} on 127.0.0.1 is taken: another program listens there"
    assert "gateway.port" in caught.value.next_step


async def test_an_address_of_another_machine_is_an_error(engine: StubEngine) -> None:
    config = GatewayConfig(host="192.0.2.1", port=0)
    with pytest.raises(EnvironmentProblem, match=r"Cannot listen on 192\.0\.2\.1"):
        await GatewayServer(create_gateway({"tiny": engine}, config), config).start()


async def test_signals_stay_with_the_program(engine: StubEngine) -> None:
    def own(*_: object) -> None:
        pytest.fail("no signal was sent")

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, own) for number in numbers]
    try:
        config = GatewayConfig(port=0)
        server = GatewayServer(create_gateway({"tiny": engine}, config), config)
        await server.start()
        assert [signal.getsignal(number) for number in numbers] == [own, own]
        await server.stop()
        assert [signal.getsignal(number) for number in numbers] == [own, own]
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


async def test_it_starts_and_stops_by_asgis_lifespan(engine: StubEngine) -> None:
    gateway = create_gateway({"tiny": engine}, GatewayConfig())
    orders = iter(("lifespan.startup", "lifespan.shutdown"))
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": next(orders)}

    async def send(message) -> None:  # type: ignore[no-untyped-def]
        sent.append(message["type"])

    await gateway({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
