"""Traces leave over OTLP as the conventions name them, with the right parents and without a word of the prompt."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from fixtures.council import says, scene
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from freehold.core.errors import ConfigError, OfflineError
from freehold.serve.gateway.endpoints import ENDPOINTS, STORED_RESPONSE
from freehold.serve.gateway.services import Services
from freehold.serve.gateway.span_attributes import OPERATIONS
from freehold.serve.gateway.tracing import GatewayTracer, create_tracer

CHAT = "/v1/chat/completions"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
TRACEPARENT = (b"traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01".encode())
HOST = (b"host", b"models.example.com:8443")
ENGINE = ("127.0.0.1", 8001)
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


class Collector:
    """An OTLP/HTTP endpoint on loopback."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.headers.append(dict(request.headers))
        await self.is_open.wait()
        return web.Response(content_type="application/x-protobuf")

    @property
    def resource(self) -> dict[str, Any]:
        return _attributes(ExportTraceServiceRequest.FromString(self.bodies[0]).resource_spans[0].resource)

    @property
    def spans(self) -> list[Span]:
        """In the order of their beginning."""
        requests = map(ExportTraceServiceRequest.FromString, self.bodies)
        scopes = [scope for request in requests for group in request.resource_spans for scope in group.scope_spans]
        assert {scope.scope.name for scope in scopes} <= {"freehold.serve.gateway"}
        return sorted((span for scope in scopes for span in scope.spans), key=lambda span: span.start_time_unix_nano)


def _attributes(holder: Any) -> dict[str, Any]:
    values = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in holder.attributes}
    return {
        key: [item.string_value for item in value.values] if hasattr(value, "values") else value
        for key, value in values.items()
    }


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    monkeypatch.setenv(ENDPOINT, collector.url)
    yield collector
    collector.is_open.set()
    await runner.cleanup()


MakeTracer = Callable[[], GatewayTracer]


@pytest.fixture
def tracer_of(collector: Collector) -> Iterator[MakeTracer]:
    """Make a tracer from the environment as it is then."""
    made: list[GatewayTracer] = []

    def make() -> GatewayTracer:
        tracer = create_tracer(os.environ, "1.2.3")
        assert tracer is not None
        made.append(tracer)
        return tracer

    yield make
    for tracer in made:
        tracer.shutdown(0)


@pytest.fixture
def tracer(tracer_of: MakeTracer) -> GatewayTracer:
    return tracer_of()


async def _flush(tracer: GatewayTracer) -> None:
    assert await asyncio.to_thread(tracer.shutdown)


async def test_a_request_is_a_server_span_with_a_client_span_per_attempt(
    tracer: GatewayTracer, collector: Collector
) -> None:
    exchange = tracer.start([HOST, TRACEPARENT], CHAT, "assistant")
    exchange.asked({"max_tokens": 64, "temperature": 0, "top_p": 0.9, "seed": 7, "n": 2, "stream": True})
    failed = exchange.attempt("gpu-1", "qwen3-8b", ENGINE)
    failed.end(503, "model_not_ready")
    attempt = exchange.attempt("openai", "gpt-5", ("api.openai.com", 443), provider="openai")
    exchange.first_byte()
    attempt.end(200)
    exchange.end(200, response_model="gpt-5-0101", prompt_tokens=12, completion_tokens=0, finish_reasons=["stop"])
    await _flush(tracer)

    server, first, second = collector.spans
    assert (server.name, server.kind) == ("chat assistant", Span.SPAN_KIND_SERVER)
    assert (first.name, first.kind) == ("chat qwen3-8b", Span.SPAN_KIND_CLIENT)
    assert (second.name, second.kind) == ("chat gpt-5", Span.SPAN_KIND_CLIENT)
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert {child.trace_id for child in (first, second)} == {server.trace_id}
    assert {child.parent_span_id for child in (first, second)} == {server.span_id}

    about = _attributes(server)
    assert 0 < about.pop("gen_ai.response.time_to_first_chunk") < 60
    assert about == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "freehold",
        "gen_ai.request.model": "assistant",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.seed": 7,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "gpt-5-0101",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 0,
        "server.address": "models.example.com",
        "server.port": 8443,
        "http.request.method": "POST",
        "http.route": CHAT,
        "url.path": CHAT,
        "url.scheme": "http",
        "http.response.status_code": 200,
        "freehold.attempts": 2,
    }
    assert _attributes(first) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "qwen3-8b",
        "server.address": "127.0.0.1",
        "server.port": 8001,
        "freehold.engine": "gpu-1",
        "http.response.status_code": 503,
        "error.type": "model_not_ready",
    }
    about = _attributes(second)
    assert 0 < about.pop("gen_ai.response.time_to_first_chunk") < 60
    assert (about["gen_ai.provider.name"], about["http.request.resend_count"]) == ("openai", 1)
    assert [span.status.code for span in (server, first, second)] == [0, 2, 0]


async def test_a_contemplation_is_a_server_span_with_a_span_per_part(
    tracer: GatewayTracer, collector: Collector
) -> None:
    contemplate = {"agents": {"tiny": 2}, "judge": "judge"}
    async with scene(contemplate, Services(tracer=tracer), tiny=says("4"), judge=says()) as room:
        _, answer = await room.ask()
        parents = [call.header("traceparent") for call in room.speakers["tiny"].stub.calls]
    await _flush(tracer)
    spans = collector.spans
    (server,) = (span for span in spans if span.kind == Span.SPAN_KIND_SERVER)
    parts = {span.span_id: span for span in spans if span.kind == Span.SPAN_KIND_INTERNAL}
    clients = [span for span in spans if span.kind == Span.SPAN_KIND_CLIENT]
    names = sorted(part.name for part in parts.values())
    assert names == ["critique 1", "critique 2", "draft 1", "draft 2", "merge"]
    assert {part.parent_span_id for part in parts.values()} == {server.span_id}
    assert {client.parent_span_id for client in clients} == parts.keys(), "each part has its own try"
    assert {client.trace_id for client in clients} == {server.trace_id}
    assert {str(parent).split("-")[2] for parent in parents} <= {client.span_id.hex() for client in clients}
    used = [_attributes(part)["gen_ai.usage.output_tokens"] for part in parts.values()]
    assert sum(used) == _attributes(server)["gen_ai.usage.output_tokens"] == answer["usage"]["completion_tokens"]
    assert not any("What is 2 and 2?" in str(span) for span in spans)


async def test_the_engine_is_told_which_span_is_its_parent(tracer: GatewayTracer, collector: Collector) -> None:
    sent = [TRACEPARENT, (b"tracestate", b"vendor=1"), (b"tracestate", b"other=2"), (b"baggage", b"team=search")]
    exchange = tracer.start(sent, CHAT, "tiny")
    before = dict(exchange.engine_headers())
    attempt = exchange.attempt("tiny", "tiny", ENGINE)
    headers = exchange.engine_headers()
    attempt.end(200)
    exchange.end(200)
    await _flush(tracer)
    server, client = collector.spans
    assert before[b"traceparent"].decode() == f"00-{TRACE_ID}-{server.span_id.hex()}-01"
    assert headers == attempt.engine_headers()
    assert dict(headers) == {
        b"traceparent": f"00-{TRACE_ID}-{client.span_id.hex()}-01".encode(),
        b"tracestate": b"vendor=1,other=2",
        b"baggage": b"team=search",
    }
    assert {name for name, _ in headers} <= tracer.propagated


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"traceparent", b"not-a-parent")],
        [(b"traceparent", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01")],
        [TRACEPARENT, TRACEPARENT],
        [(b"traceparent", b"\xff" * 600)],
    ],
)
async def test_without_one_valid_parent_a_trace_begins_here(
    headers: list[tuple[bytes, bytes]], tracer: GatewayTracer, collector: Collector
) -> None:
    tracer.start(headers, CHAT, "tiny").end(200)
    await _flush(tracer)
    [span] = collector.spans
    assert (span.parent_span_id, span.trace_id.hex() == TRACE_ID) == (b"", False)


@pytest.mark.parametrize(
    ("status", "error_type", "is_error", "said"),
    [
        (200, "", False, None),
        (404, "model_not_found", False, "model_not_found"),
        (499, "client_left", False, "client_left"),
        (500, "", True, "500"),
        (502, "engine_lost", True, "engine_lost"),
        (200, "engine_lost", True, "engine_lost"),
    ],
)
async def test_an_error_is_one_on_our_side(
    status: int, error_type: str, is_error: bool, said: str | None, tracer: GatewayTracer, collector: Collector
) -> None:
    tracer.start([], CHAT, "tiny").end(status, error_type=error_type)
    await _flush(tracer)
    [span] = collector.spans
    assert (span.status.code == 2, _attributes(span).get("error.type")) == (is_error, said)


async def test_an_attempt_left_open_ends_with_its_request(tracer: GatewayTracer, collector: Collector) -> None:
    exchange = tracer.start([], CHAT, "tiny")
    exchange.attempt("tiny", "tiny", ENGINE)
    exchange.end(499, error_type="client_left")
    await _flush(tracer)
    _, attempt = collector.spans
    assert attempt.status.code == 2
    assert _attributes(attempt)["error.type"] == "client_left"
    assert "http.response.status_code" not in _attributes(attempt)


async def test_no_text_of_the_request_is_exported(tracer: GatewayTracer, collector: Collector) -> None:
    marker = "zebra-crossing"
    headers = [(b"authorization", f"Bearer fh-{marker}".encode()), (b"cookie", marker.encode()), HOST]
    exchange = tracer.start([*headers, (b"user-agent", marker.encode())], CHAT, "tiny")
    names = ("messages", "prompt", "input", "stop", "user", "seed", "max_tokens", "temperature", "stream", "n")
    exchange.asked(dict.fromkeys(names, marker))
    exchange.asked({name: [marker] for name in names})
    exchange.attempt("tiny", "tiny", ENGINE).end(200)
    exchange.end(200)
    await _flush(tracer)
    assert len(collector.spans) == 2
    assert marker.encode() not in b"".join(collector.bodies)


async def test_what_cannot_be_encoded_costs_neither_the_batch_nor_a_traceback(
    tracer: GatewayTracer, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = tracer.start([(b"host", b"\xff\xfe:99999999")], CHAT, "\ud800" + "x" * 10_000)
    exchange.asked({"max_tokens": 2**63, "seed": -(2**70), "temperature": 10**400, "top_k": True, "n": 1})
    exchange.end(200, response_model="\udfff", prompt_tokens=2**63, finish_reasons=["\udfff"])
    tracer.start([], CHAT, "tiny").end(200)
    await _flush(tracer)
    odd, plain = collector.spans
    assert plain.name == "chat tiny"
    assert len(odd.name) < 300
    assert {name for name in _attributes(odd) if name.startswith(("gen_ai.request", "gen_ai.usage"))} == {
        "gen_ai.request.model"
    }
    assert caplog.records == []


@pytest.mark.parametrize(
    ("host", "address"),
    [
        (b"127.0.0.1:8000", {"server.address": "127.0.0.1", "server.port": 8000}),
        (b"models.example.com", {"server.address": "models.example.com"}),
        (b"[::1]:8000", {"server.address": "::1", "server.port": 8000}),
        (b"[::1]", {"server.address": "::1"}),
        (b"a:b", {"server.address": "a:b"}),
    ],
)
async def test_the_address_is_the_one_that_the_client_used(
    host: bytes, address: dict[str, Any], tracer: GatewayTracer, collector: Collector
) -> None:
    tracer.start([(b"host", host)], CHAT, "").end(200)
    await _flush(tracer)
    [span] = collector.spans
    assert span.name == "chat"
    assert {name: value for name, value in _attributes(span).items() if name.startswith("server.")} == address


async def test_a_stored_response_is_fetched_and_its_tokens_not_counted_again(
    tracer: GatewayTracer, collector: Collector
) -> None:
    tracer.start([], STORED_RESPONSE.path, "tiny", "GET").end(200, prompt_tokens=3, completion_tokens=2)
    await _flush(tracer)
    [span] = collector.spans
    assert (span.name, _attributes(span)["http.request.method"]) == ("fetch_response tiny", "GET")
    assert not [name for name in _attributes(span) if name.startswith("gen_ai.usage")]


def test_every_endpoint_has_an_operation() -> None:
    assert {*ENDPOINTS, STORED_RESPONSE.path} <= OPERATIONS.keys()


async def test_who_reports_is_the_gateway_unless_the_environment_says_otherwise(
    tracer_of: MakeTracer, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracer = tracer_of()
    tracer.start([], CHAT, "tiny").end(200)
    await _flush(tracer)
    assert (collector.resource["service.name"], collector.resource["service.version"]) == ("freehold-gateway", "1.2.3")

    collector.bodies.clear()
    monkeypatch.setenv("OTEL_SERVICE_NAME", "edge")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.version=9")
    tracer = tracer_of()
    tracer.start([], CHAT, "tiny").end(200)
    await _flush(tracer)
    expected = {"service.name": "edge", "service.version": "9", "deployment.environment.name": "test"}
    assert expected.items() <= collector.resource.items()


async def test_sampler_and_headers_are_the_environments(
    tracer_of: MakeTracer, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    tracer = tracer_of()
    unsampled = tracer.start([], CHAT, "tiny")
    unsampled.asked({"max_tokens": 1})
    unsampled.attempt("tiny", "tiny", ENGINE).end(200)
    flags = int(dict(unsampled.engine_headers())[b"traceparent"][-2:], 16)
    assert not flags & 1, "and the engine follows"
    unsampled.end(200)
    tracer.start([TRACEPARENT], CHAT, "tiny").end(200)
    await _flush(tracer)
    assert [span.parent_span_id.hex() for span in collector.spans] == [PARENT_ID]
    assert collector.headers[0]["x-tenant"] == "a"


async def test_a_clients_baggage_is_not_quoted_in_the_log(
    tracer: GatewayTracer, caplog: pytest.LogCaptureFixture
) -> None:
    tracer.start([(b"baggage", b"zebra crossing")], CHAT, "tiny").end(200)
    assert "zebra" not in caplog.text


async def test_a_collector_that_hangs_holds_nobody_up(tracer: GatewayTracer, collector: Collector) -> None:
    collector.is_open.clear()
    tracer.start([], CHAT, "tiny").end(200)
    assert not await asyncio.to_thread(tracer.shutdown, 0.05)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {ENDPOINT: " "},
        {ENDPOINT: "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "True"},
        {ENDPOINT: "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SERVICE_NAME": "edge"},
    ],
)
def test_there_are_no_traces_unless_asked_for(environ: dict[str, str]) -> None:
    assert create_tracer(environ, "1") is None


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({ENDPOINT: "http://x:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
        ({ENDPOINT: "http://x", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "http/json"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "zipkin"),
        ({ENDPOINT: "collector:4318"}, "http://"),
    ],
)
def test_what_cannot_be_honoured_is_said(environ: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        create_tracer(environ, "1")
    assert named in str(refusal.value)


def test_offline_traces_stay_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OfflineError, match=r"collector\.example\.com"):
        create_tracer({ENDPOINT: "https://user:secret@collector.example.com/v1"}, "1", offline=True)
    for url in ("http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"):
        monkeypatch.setenv(ENDPOINT, url)
        tracer = create_tracer(os.environ, "1", offline=True)
        assert tracer is not None
        assert tracer.shutdown()


IMPORT_PROBE = """
import os, sys
import freehold.serve.gateway
from freehold.serve.gateway.tracing import GatewayTracer, create_tracer
assert create_tracer(os.environ, "1") is None
print(*[name for name in sys.modules if name.split(".")[0] == "opentelemetry"])
"""


@pytest.mark.slow
def test_nothing_of_opentelemetry_is_imported_without_need() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT_PROBE], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout.split(), ended.stderr) == (0, [], "")
