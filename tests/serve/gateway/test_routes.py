"""Routes: aliases, splits, fallbacks before the first byte, the canary, shadows, and keys that must stay."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from fixtures.stub_engine import SSE, Call, StubEngine

from freehold.serve.config import GatewayConfig, Route
from freehold.serve.engines.engine import EngineState
from freehold.serve.gateway import GatewayServer, serve_gateway
from freehold.serve.gateway.endpoints import ENDPOINTS
from freehold.serve.gateway.errors import NotAllowed
from freehold.serve.gateway.principal import ANONYMOUS, Principal
from freehold.serve.gateway.request import RelayedRequest
from freehold.serve.gateway.routing import RouteTable
from freehold.serve.gateway.routing.canary import CanaryTrial
from freehold.serve.gateway.routing.split import choose

CHAT = "/v1/chat/completions"


async def answer(call: Call) -> None:
    await call.reply(json.dumps({"model": call.json["model"], "usage": {"prompt_tokens": 1}}).encode())


class Scene:
    """Three engines behind a gateway with routes; `cloud` is a closed one."""

    def __init__(self) -> None:
        self.engines = {name: StubEngine(name, answer) for name in ("big", "small", "cloud/gpt")}
        self.engines["cloud/gpt"].upstream_model = "gpt"
        self.engines["cloud/gpt"].leaves = True
        self.gateway: GatewayServer | None = None
        self.client: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self, **routes: Any) -> AsyncIterator["Scene"]:
        async with AsyncExitStack() as stack:
            for engine in self.engines.values():
                await stack.enter_async_context(engine.listening())
            own = {name: engine for name, engine in self.engines.items() if not engine.leaves}
            upstreams = {name: engine for name, engine in self.engines.items() if engine.leaves}
            parsed = {name: Route.model_validate(route) for name, route in routes.items()}
            table = RouteTable(own, parsed, upstreams)
            config = GatewayConfig(port=0, drain_timeout_s=0)
            self.gateway = await stack.enter_async_context(serve_gateway(own, config, table))
            self.client = await stack.enter_async_context(aiohttp.ClientSession(self.gateway.url))
            yield self

    async def ask(self, model: str, **fields: Any) -> tuple[int, bytes]:
        assert self.client is not None
        async with self.client.post(CHAT, json={"model": model, **fields}) as reply:
            return reply.status, await reply.read()

    async def metric(self, name: str) -> float:
        assert self.client is not None
        async with self.client.get("/metrics") as reply:
            lines = (await reply.text()).splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


async def _die(call: Call) -> None:
    call.die()


async def _hang(call: Call) -> None:
    await call.left.wait()


def _status(status: int) -> Any:
    async def refuse(call: Call) -> None:
        await call.reply(b'{"error":{}}', status)

    return refuse


async def _die_after_head(call: Call) -> None:
    await call.start(content_type=SSE)
    call.die()


async def test_an_alias_reaches_its_model_under_the_models_name() -> None:
    async with Scene().running(**{"gpt-4o-mini": {"targets": {"small": 1}}}) as scene:
        status, body = await scene.ask("gpt-4o-mini", x=1)
        assert (status, json.loads(body)["model"]) == (200, "small")
        assert scene.engines["small"].calls[0].json == {"model": "small", "x": 1}


async def test_a_weighted_split_is_sticky_and_keeps_its_weights() -> None:
    routes = {"r": {"targets": {"big": 75, "small": 25}, "sticky": "user"}}
    async with Scene().running(**routes) as scene:
        for user in range(200):
            first = json.loads((await scene.ask("r", user=f"u{user}"))[1])["model"]
            again = json.loads((await scene.ask("r", user=f"u{user}"))[1])["model"]
            assert first == again
        share = len(scene.engines["big"].calls) / 400
        assert 0.65 < share < 0.85


async def test_a_user_of_half_a_surrogate_pair_is_served() -> None:
    """JSON can say `\\ud800`, which no encoding of Unicode can."""
    routes = {"r": {"targets": {"big": 1, "small": 1}, "sticky": "user", "canary": {"target": "small", "percent": 1}}}
    async with Scene().running(**routes) as scene:
        assert (await scene.ask("r", user="\ud800"))[0] == 200


def test_a_changed_weight_moves_only_those_it_must() -> None:
    names = ["a", "b", "c"]
    before = {caller: choose([("a", 1), ("b", 1), ("c", 1)], names, "r", caller) for caller in map(str, range(3000))}
    after = {caller: choose([("a", 2), ("b", 1), ("c", 1)], names, "r", caller) for caller in before}
    assert Counter(after.values())["a"] == pytest.approx(1500, rel=0.1)
    assert all(after[caller] in (before[caller], "a") for caller in before)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (_die, "engine_lost"),
        (_die_after_head, "engine_lost"),
        (_status(500), "model_not_ready"),
        (_status(503), "model_not_ready"),
        (_status(429), "model_not_ready"),
        pytest.param(_hang, "engine_timeout", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_the_next_target_answers_when_the_first_does_not(trouble: Any, reason: str, stream: bool) -> None:
    patience_s = 3 if trouble is _hang else 60
    routes = {"r": {"targets": {"big": 1}, "fallback": "small", "firstByteTimeoutS": patience_s}}
    async with Scene().running(**routes) as scene:
        scene.engines["big"].answer = trouble
        status, body = await scene.ask("r", stream=stream)
        assert (status, json.loads(body)["model"]) == (200, "small")
        assert len(scene.engines["big"].calls) == 1
        name = f'freehold_fallbacks_total{{model="big",reason="{reason}",route="r"}}'
        assert await scene.metric(name) == 1
        assert await scene.metric("freehold_requests_in_flight") == 0


async def test_an_engine_that_is_not_there_is_passed_over() -> None:
    async with Scene().running(r={"targets": {"big": 1}, "fallback": ["small", "cloud/gpt"]}) as scene:
        scene.engines["big"].state = EngineState.RESTARTING
        scene.engines["small"].base_url = "http://127.0.0.1:1"
        status, body = await scene.ask("r")
        assert (status, json.loads(body)["model"]) == (200, "gpt")


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_clients_own_mistake_is_not_tried_elsewhere(status: int) -> None:
    async with Scene().running(r={"targets": {"big": 1}, "fallback": "small"}) as scene:
        scene.engines["big"].answer = _status(status)
        assert (await scene.ask("r"))[0] == status
        assert not scene.engines["small"].calls


@pytest.mark.slow
async def test_the_last_target_answers_for_itself() -> None:
    async with Scene().running(r={"targets": {"big": 1}, "fallback": "small", "firstByteTimeoutS": 3}) as scene:
        scene.engines["big"].answer = _die
        scene.engines["small"].answer = _status(503)
        assert await scene.ask("r") == (503, b'{"error":{}}')
        scene.engines["small"].answer = _hang
        status, body = await scene.ask("r")
        assert (status, json.loads(body)["error"]["code"]) == (504, "engine_timeout")


async def test_after_the_first_byte_nobody_else_takes_over() -> None:
    async def break_off(call: Call) -> None:
        await call.start(content_type=SSE)
        await call.chunk(b'data: {"choices":[]}\n\n')
        call.die()

    async with Scene().running(r={"targets": {"big": 1}, "fallback": "small"}) as scene:
        scene.engines["big"].answer = break_off
        with pytest.raises(aiohttp.ClientPayloadError):
            await scene.ask("r", stream=True)
        assert not scene.engines["small"].calls


@pytest.mark.slow
async def test_a_silent_target_is_told_to_stop() -> None:
    async with Scene().running(r={"targets": {"big": 1}, "fallback": "small", "firstByteTimeoutS": 3}) as scene:
        scene.engines["big"].answer = _hang
        await scene.ask("r")
        async with asyncio.timeout(60):
            await scene.engines["big"].calls[0].left.wait()


# -- must stay ---------------------------------------------------------------------------------------------------------

STAYS = Principal("key_1")


def _request(model: str, path: str = CHAT) -> RelayedRequest:
    return RelayedRequest(ENDPOINTS[path], b"{}", model, {"model": model})


def _table(**routes: Any) -> RouteTable:
    scene = Scene()
    parsed = {name: Route.model_validate(route) for name, route in routes.items()}
    upstreams = {"cloud/gpt": scene.engines.pop("cloud/gpt")}
    return RouteTable(scene.engines, parsed, upstreams)


def test_a_key_that_must_stay_never_gets_a_plan_that_leaves() -> None:
    table = _table(
        mixed={"targets": {"cloud/gpt": 99, "small": 1}, "fallback": ["cloud/gpt", "big"]},
        closed={"targets": {"cloud/gpt": 1}, "fallback": "cloud/gpt"},
        watched={
            "targets": {"small": 1},
            "shadow": {"target": "cloud/gpt"},
            "canary": {"target": "cloud/gpt", "percent": 99},
        },
    )
    for _ in range(50):
        for name in ("mixed", "watched"):
            plan = table.plan(_request(name), STAYS, "")
            assert not any(engine.leaves for engine in plan.engines)
            assert plan.shadow is None
    with pytest.raises(NotAllowed) as caught:
        table.plan(_request("closed"), STAYS, "")
    assert caught.value.code == "must_stay"
    assert table.plan(_request("closed"), ANONYMOUS, "").engines[0].leaves


def test_scopes_name_models_and_routes() -> None:
    table = _table(r={"targets": {"small": 1}}, other={"targets": {"big": 1}})
    key = Principal("key_1", routes=frozenset({"r"}))
    assert table.names(key) == ["r"]
    assert table.plan(_request("r"), key, "").engines[0].name == "small"
    for name in ("small", "other"):
        with pytest.raises(NotAllowed) as caught:
            table.plan(_request(name), key, "")
        assert (caught.value.code, caught.value.http_status) == ("model_not_allowed", 403)


# -- canary ------------------------------------------------------------------------------------------------------------


async def test_a_failing_canary_is_rolled_back_and_no_client_notices() -> None:
    canary = {"target": "big", "percent": 50, "minRequests": 10}
    async with Scene().running(r={"targets": {"small": 1}, "sticky": "none", "canary": canary}) as scene:
        scene.engines["big"].answer = _status(500)
        for _ in range(60):
            assert (await scene.ask("r"))[0] == 200
        tried = len(scene.engines["big"].calls)
        assert tried == 10, "it had its ten requests, and none after the verdict"
        assert await scene.metric('freehold_canary_rolled_back{route="r"}') == 1


def _trial(**fields: Any) -> tuple[CanaryTrial, list[float]]:
    now = [0.0]
    config = Route.model_validate(
        {"targets": {"old": 1}, "canary": {"target": "new", "percent": 10, "minRequests": 5, **fields}}
    ).canary
    assert config is not None
    return CanaryTrial("r", config, clock=lambda: now[0]), now


def test_a_slow_canary_is_rolled_back() -> None:
    trial, _ = _trial(maxLatencyRatio=2)
    for _ in range(5):
        trial.observe("old", failed=False, first_byte_s=0.1)
        trial.observe("new", failed=False, first_byte_s=0.19)
    assert not trial.is_rolled_back
    for _ in range(7):
        trial.observe("new", failed=False, first_byte_s=0.21)
    assert "2.10 times" in trial.verdict


def test_one_bad_hour_long_ago_does_not_count() -> None:
    trial, now = _trial(windowS=60)
    for _ in range(4):
        trial.observe("new", failed=True, first_byte_s=0)
    now[0] = 61
    for _ in range(5):
        trial.observe("new", failed=False, first_byte_s=0.1)
    assert not trial.is_rolled_back
    trial.observe("new", failed=True, first_byte_s=0)
    assert trial.is_rolled_back


# -- shadow ------------------------------------------------------------------------------------------------------------


async def test_a_shadow_gets_a_copy_and_the_client_the_answer() -> None:
    async with Scene().running(r={"targets": {"small": 1}, "shadow": {"target": "big"}}) as scene:
        status, body = await scene.ask("r", stream=True, stream_options={"include_usage": True}, x=1)
        assert (status, json.loads(body)["model"]) == (200, "small")
        await asyncio.wait_for(scene.engines["big"].arrived.wait(), 60)
        copy = scene.engines["big"].calls[0].json
        assert copy == {"model": "big", "stream": False, "stream_options": None, "x": 1}


@pytest.mark.slow
async def test_shadows_have_a_budget_and_never_hold_up_a_client() -> None:
    shadow = {"target": "big", "maxConcurrent": 2, "timeoutS": 5}
    async with Scene().running(r={"targets": {"small": 1}, "shadow": shadow}) as scene:
        scene.engines["big"].answer = _hang
        for _ in range(10):
            assert (await scene.ask("r"))[0] == 200
        assert len(scene.engines["big"].calls) <= 2
        assert await scene.metric('freehold_shadow_requests_total{model="big",result="dropped"') == 8
        for call in scene.engines["big"].calls:
            await asyncio.wait_for(call.left.wait(), 60)
        scene.engines["big"].answer = _die
        assert (await scene.ask("r"))[0] == 200


async def test_a_shadow_of_a_form_is_a_form() -> None:
    async with Scene().running(r={"targets": {"small": 1}, "shadow": {"target": "big"}}) as scene:
        scene.engines["small"].answer = scene.engines["big"].answer = lambda call: call.reply(b"{}")
        form = aiohttp.FormData()
        form.add_field("file", b"RIFF", filename="a.wav")
        form.add_field("model", "r")
        assert scene.client is not None
        async with scene.client.post("/v1/audio/transcriptions", data=form) as reply:
            assert reply.status == 200
        await asyncio.wait_for(scene.engines["big"].arrived.wait(), 60)
        [copy], [original] = scene.engines["big"].calls, scene.engines["small"].calls
        assert copy.header("content-type") == original.header("content-type")
        assert copy.body == original.body.replace(b"small", b"big")


async def test_an_upstreams_own_limits_are_not_the_clients() -> None:
    async with Scene().running(r={"targets": {"small": 1}}) as scene:
        scene.engines["small"].answer = lambda call: call.reply(b"{}", x_ratelimit_limit_requests="9")
        assert scene.client is not None
        async with scene.client.post(CHAT, json={"model": "r"}) as reply:
            assert reply.headers.getall("x-ratelimit-limit-requests") == ["9"], "nobody limits this client here"
