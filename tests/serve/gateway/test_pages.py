"""Models, health, readiness and metrics."""

import aiohttp
import pytest
from fixtures.stub_engine import SSE, Call, StubEngine
from prometheus_client.parser import text_string_to_metric_families

from freehold.serve.engines.engine import EngineState
from freehold.serve.gateway import GatewayServer

CHAT = "/v1/chat/completions"


async def test_models_are_listed_as_openai_does(client: aiohttp.ClientSession) -> None:
    async with client.get("/v1/models") as answer:
        listing = await answer.json()
    assert listing["object"] == "list"
    assert [model["id"] for model in listing["data"]] == ["tiny", "org/other"]
    assert {model["object"] for model in listing["data"]} == {"model"}
    assert isinstance(listing["data"][0]["created"], int)


async def test_a_model_of_ours_names_its_artifact(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    engine.artifact_id = "tiny-0123456789ab"
    async with client.get("/v1/models") as answer:
        ours, other = (await answer.json())["data"]
    assert (ours["root"], ours["owned_by"]) == ("tiny-0123456789ab", "freehold")
    assert "root" not in other


async def test_models_are_listed_as_anthropic_does_for_its_clients(client: aiohttp.ClientSession) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    async with client.get("/v1/models", headers=headers) as answer:
        listing = await answer.json()
    assert (listing["has_more"], listing["first_id"], listing["last_id"]) == (False, "tiny", "org/other")
    assert [(model["type"], model["id"]) for model in listing["data"]] == [("model", "tiny"), ("model", "org/other")]
    async with client.get("/v1/models/gpt-9", headers=headers) as answer:
        assert (answer.status, (await answer.json())["type"]) == (404, "error")


@pytest.mark.parametrize(("path", "name"), [("tiny", "tiny"), ("org/other", "org/other"), ("org%2Fother", "org/other")])
async def test_one_model_is_shown(path: str, name: str, client: aiohttp.ClientSession) -> None:
    async with client.get(f"/v1/models/{path}") as answer:
        assert (answer.status, (await answer.json())["id"]) == (200, name)


async def test_an_unknown_model_is_not_shown(client: aiohttp.ClientSession) -> None:
    async with client.get("/v1/models/gpt-9") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (404, "model_not_found")


async def test_it_is_ready_when_every_engine_is(client: aiohttp.ClientSession, other: StubEngine) -> None:
    async with client.get("/ready") as answer:
        assert (answer.status, (await answer.json())["status"]) == (200, "ready")
    other.state, other.detail = EngineState.FAILED, "out of memory"
    async with client.get("/ready") as answer:
        assert answer.status == 503
        body = await answer.json()
    assert body == {
        "status": "not ready",
        "models": {
            "tiny": {"state": "ready", "detail": ""},
            "org/other": {"state": "failed", "detail": "out of memory"},
        },
    }
    async with client.get("/health") as answer:
        assert answer.status == 200, "it lives, whatever its engines do"


async def test_a_wrong_method_on_a_page_is_a_405(client: aiohttp.ClientSession) -> None:
    async with client.post("/v1/models", json={}) as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "GET")
        assert (await answer.json())["error"]["code"] == "method_not_allowed"


async def test_a_fault_of_a_page_is_in_the_envelope_too(
    client: aiohttp.ClientSession, gateway: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> bytes:
        raise ZeroDivisionError("a secret that is nobody's business")

    monkeypatch.setattr(gateway.gateway.metrics, "render", fail)
    async with client.get("/metrics") as answer:
        assert (answer.status, answer.content_type) == (500, "application/json")
        error = (await answer.json())["error"]
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert "secret" not in error["message"]


async def _samples(client: aiohttp.ClientSession) -> dict[str, float]:
    async with client.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        text = await answer.text()
    return {
        f"{sample.name}{{{','.join(f'{key}={value}' for key, value in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_metrics_count_requests_tokens_and_time(client: aiohttp.ClientSession, other: StubEngine) -> None:
    usage = {"stream_options": {"include_usage": True}}
    for body in (
        {"model": "tiny"},
        {"model": "tiny", "stream": True, **usage},
        {"model": "tiny", "stream": True},
        {"model": "a label of the client's"},
    ):
        async with client.post(CHAT, json=body) as answer:
            await answer.read()
    other.state = EngineState.STARTING
    async with client.post(CHAT, json={"model": "org/other"}) as answer:
        await answer.read()
    samples = await _samples(client)
    expected = {
        f"freehold_requests_total{{model=tiny,path={CHAT},status=200}}": 3,
        f"freehold_requests_total{{model=,path={CHAT},status=404}}": 1,
        f"freehold_requests_total{{model=org/other,path={CHAT},status=503}}": 1,
        "freehold_prompt_tokens_total{model=tiny}": 9,
        "freehold_completion_tokens_total{model=tiny}": 6,
        "freehold_unmetered_streams_total{model=tiny}": 0,
        "freehold_broken_answers_total{model=tiny}": 0,
        "freehold_time_to_first_token_seconds_count{model=tiny}": 2,
        "freehold_time_to_first_token_seconds_bucket{le=+Inf,model=tiny}": 2,
        "freehold_request_duration_seconds_count{model=tiny}": 3,
        "freehold_requests_in_flight{model=tiny}": 0,
        "freehold_requests_waiting{model=tiny}": 0,
        "freehold_engine_ready{model=tiny}": 1,
        "freehold_engine_ready{model=org/other}": 0,
    }
    assert {key: samples.get(key) for key in expected} == expected
    assert not [key for key in samples if "a label" in key]


async def test_a_request_waits_until_its_first_bytes(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    async def hold(call: Call) -> None:
        await call.start(content_type=SSE)
        await call.left.wait()

    engine.answer = hold
    async with client.post(CHAT, json={"model": "tiny", "stream": True}) as answer:
        assert answer.status == 200
        samples = await _samples(client)
        assert samples["freehold_requests_in_flight{model=tiny}"] == 1
        assert samples["freehold_requests_waiting{model=tiny}"] == 1


async def test_the_pace_of_a_stream_is_measured_by_event(client: aiohttp.ClientSession, engine: StubEngine) -> None:
    async def bunches(call: Call) -> None:
        await call.start(content_type=SSE)
        await call.chunk(b"data: 1\n\n")
        for _ in range(3):
            await call.chunk(b"data: 2\n\ndata: 3\n\n")
        await call.end()

    engine.answer = bunches
    async with client.post(CHAT, json={"model": "tiny", "stream": True}) as answer:
        seen = (await answer.read()).count(b"\n\n")
    count = (await _samples(client))["freehold_inter_token_latency_seconds_count{model=tiny}"]
    assert seen == 7
    assert 0 <= count <= 6, "events that came with the first read have no time of their own"
