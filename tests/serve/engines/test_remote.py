"""A remote engine: ready while the endpoint answers, unreachable while it does not."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from freehold.core.errors import ConfigError
from freehold.serve.config import RemoteEngine as RemoteConfig
from freehold.serve.engines import remote
from freehold.serve.engines.engine import EngineState
from freehold.serve.engines.remote import RemoteEngine


class Endpoint:
    """An OpenAI-compatible endpoint that wants a key, and can be told to fail."""

    def __init__(self) -> None:
        self.status = 200
        self.keys: list[str | None] = []
        self.url = ""

    async def models(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("Authorization"))
        return web.json_response({"object": "list", "data": []}, status=self.status)


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    monkeypatch.setattr(remote, "CHECK_INTERVAL_S", 0.02)
    found = Endpoint()
    app = web.Application()
    app.router.add_get("/v1/models", found.models)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield found
    await runner.cleanup()


async def _until(engine: RemoteEngine, state: EngineState) -> None:
    async with asyncio.timeout(10):
        while engine.state is not state:
            await asyncio.sleep(0.01)


async def test_its_state_follows_the_endpoint(endpoint: Endpoint) -> None:
    engine = RemoteEngine("far", RemoteConfig(kind="remote", base_url=endpoint.url + "/v1", model="big"))
    assert (engine.name, engine.upstream_model, engine.base_url) == ("far", "big", endpoint.url)
    assert engine.state is EngineState.STARTING
    await engine.start()
    await _until(engine, EngineState.READY)
    endpoint.status = 500
    await _until(engine, EngineState.UNREACHABLE)
    assert engine.detail == f"{endpoint.url}/v1/models answers 500"
    endpoint.status = 200
    await _until(engine, EngineState.READY)
    await engine.stop()
    assert engine.state is EngineState.STOPPED


async def test_the_key_comes_from_the_environment_and_goes_with_every_request(endpoint: Endpoint) -> None:
    config = RemoteConfig.model_validate({"kind": "remote", "baseUrl": endpoint.url, "apiKeyFrom": {"env": "FAR_KEY"}})
    with pytest.raises(ConfigError, match="FAR_KEY is not set") as caught:
        RemoteEngine("far", config, environ={})
    assert "export FAR_KEY" in caught.value.next_step
    engine = RemoteEngine("far", config, environ={"FAR_KEY": "sk-1"})
    assert engine.headers == {"Authorization": "Bearer sk-1"}
    await engine.start()
    await _until(engine, EngineState.READY)
    await engine.stop()
    assert set(endpoint.keys) == {"Bearer sk-1"}


async def test_an_endpoint_that_nobody_runs_is_unreachable() -> None:
    engine = RemoteEngine("far", RemoteConfig(kind="remote", base_url="http://127.0.0.1:9"))
    await engine.start()
    await _until(engine, EngineState.UNREACHABLE)
    assert "does not answer" in engine.detail
    await engine.stop()


async def test_an_endpoint_that_hangs_is_unreachable_and_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "CHECK_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel takes the connection, and nobody reads it
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        engine = RemoteEngine("far", RemoteConfig(kind="remote", base_url=url))
        await engine.start()
        await _until(engine, EngineState.UNREACHABLE)
        await engine.stop()
        assert engine.detail == f"{url} does not answer: TimeoutError"
