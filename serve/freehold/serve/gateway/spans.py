"""The spans of one request, by the semantic conventions for GenAI and HTTP; never a word of prompt or answer.

https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/client-inference.md

Switched on, they cost about 130 µs of CPU per request, 40 where the sampler leaves it out: that is the SDK.

This module imports OpenTelemetry; only `tracing.create_tracer` may import it, when traces are wanted.
"""

import threading
from collections.abc import Mapping, Sequence
from time import perf_counter

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from freehold.serve.gateway.headers import RawHeaders
from freehold.serve.gateway.span_attributes import (
    OPERATIONS,
    Attributes,
    encodable,
    request_attributes,
    server_attributes,
    usage_attributes,
)


class SdkTracer:
    """GatewayTracer over the SDK."""

    def __init__(self, provider: TracerProvider, propagator: TextMapPropagator, version: str) -> None:
        self._provider = provider
        self._propagator = propagator
        self._tracer: Tracer = provider.get_tracer("freehold.serve.gateway", version)
        self.propagated = frozenset(name.lower().encode() for name in propagator.fields)

    def start(
        self, scope_headers: RawHeaders, endpoint_path: str, model: str, method: str = "POST"
    ) -> "SdkExchangeSpan":
        carrier: dict[str, str] = {}
        host = b""
        for name, value in scope_headers:
            if name in self.propagated:
                key, text = name.decode(), value.decode("latin-1")
                carrier[key] = f"{carrier[key]},{text}" if key in carrier else text
            elif name == b"host":
                host = value
        context = self._propagator.extract(carrier, Context())
        operation = OPERATIONS.get(endpoint_path, "other")
        attributes: Attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "freehold",
            "http.request.method": method,
            "http.route": endpoint_path,
            "url.path": endpoint_path,
            "url.scheme": "http",
        }
        if host:
            attributes |= server_attributes(host)
        model = encodable(model)
        if model:
            attributes["gen_ai.request.model"] = model
        span = self._tracer.start_span(
            f"{operation} {model}".rstrip(), context, kind=SpanKind.SERVER, attributes=attributes
        )
        return SdkExchangeSpan(self._tracer, self._propagator, span, set_span_in_context(span, context), operation)

    def shutdown(self, timeout_s: float = 5.0) -> bool:
        ending = threading.Thread(target=self._provider.shutdown, name="freehold-traces-shutdown", daemon=True)
        ending.start()
        ending.join(timeout_s)
        return not ending.is_alive()


class SdkExchangeSpan:
    """ExchangeSpan: a SERVER span, and the context that its attempts begin in."""

    __slots__ = ("_attempts", "_context", "_open", "_operation", "_propagator", "_span", "_started", "_tracer")

    def __init__(
        self, tracer: Tracer, propagator: TextMapPropagator, span: Span, context: Context, operation: str
    ) -> None:
        self._tracer = tracer
        self._propagator = propagator
        self._span = span
        self._context = context
        self._operation = operation
        self._started = perf_counter()
        self._attempts = 0
        self._open: SdkAttemptSpan | None = None

    def asked(self, parameters: Mapping[str, object]) -> None:
        if self._span.is_recording():
            self._span.set_attributes(request_attributes(parameters))

    def attempt(
        self, engine_name: str, upstream_model: str, address: tuple[str, int], *, provider: str = "vllm"
    ) -> "SdkAttemptSpan":
        host, port = address
        attributes: Attributes = {
            "gen_ai.operation.name": self._operation,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": upstream_model,
            "server.address": host,
            "server.port": port,
            "freehold.engine": engine_name,
        }
        if self._attempts:
            attributes["http.request.resend_count"] = self._attempts
        self._attempts += 1
        name = f"{self._operation} {upstream_model}"
        span = self._tracer.start_span(name, self._context, kind=SpanKind.CLIENT, attributes=attributes)
        self._open = SdkAttemptSpan(span, set_span_in_context(span, self._context), self._propagator)
        return self._open

    def part(self, name: str) -> "SdkExchangeSpan":
        attributes: Attributes = {"gen_ai.operation.name": self._operation, "freehold.part": name}
        span = self._tracer.start_span(name, self._context, kind=SpanKind.INTERNAL, attributes=attributes)
        context = set_span_in_context(span, self._context)
        return SdkExchangeSpan(self._tracer, self._propagator, span, context, self._operation)

    def engine_headers(self) -> list[tuple[bytes, bytes]]:
        if self._open is not None:
            return self._open.engine_headers()
        return _injected(self._propagator, self._context)

    def first_byte(self) -> None:
        if self._span.is_recording():
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", perf_counter() - self._started)
        if self._open is not None:
            self._open.first_byte()

    def end(
        self,
        status: int,
        *,
        response_model: str = "",
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        finish_reasons: Sequence[str] = (),
        error_type: str = "",
        attempts: int | None = None,
    ) -> None:
        if self._open is not None:
            self._open.end(0, error_type or "abandoned")
        span = self._span
        if span.is_recording():
            attributes: Attributes = {"freehold.attempts": self._attempts if attempts is None else attempts}
            if response_model:
                attributes["gen_ai.response.model"] = encodable(response_model)
            if finish_reasons:
                attributes["gen_ai.response.finish_reasons"] = [encodable(reason) for reason in finish_reasons]
            if self._operation != "fetch_response":  # those tokens were counted when they were made
                attributes |= usage_attributes(prompt_tokens, completion_tokens)
            span.set_attributes(attributes)
            # A 4xx is the client's fault: in a SERVER span no error. A lost engine is one, whatever status had left.
            _close(span, status, error_type, is_error=status >= 500 or (bool(error_type) and status < 400))
        span.end()


class SdkAttemptSpan:
    """AttemptSpan: a CLIENT span."""

    __slots__ = ("_context", "_is_over", "_propagator", "_span", "_started")

    def __init__(self, span: Span, context: Context, propagator: TextMapPropagator) -> None:
        self._span = span
        self._context = context
        self._propagator = propagator
        self._started = perf_counter()
        self._is_over = False

    def engine_headers(self) -> list[tuple[bytes, bytes]]:
        return _injected(self._propagator, self._context)

    def first_byte(self) -> None:
        if self._span.is_recording():
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", perf_counter() - self._started)

    def end(self, status: int, error_type: str = "") -> None:
        if self._is_over:
            return
        self._is_over = True
        _close(self._span, status, error_type, is_error=not 0 < status < 400 or bool(error_type))
        self._span.end()


def _close(span: Span, status: int, error_type: str, *, is_error: bool) -> None:
    if status:
        span.set_attribute("http.response.status_code", status)
    if error_type or is_error:
        span.set_attribute("error.type", error_type or str(status or "_OTHER"))
    if is_error:
        span.set_status(Status(StatusCode.ERROR))


def _injected(propagator: TextMapPropagator, context: Context) -> list[tuple[bytes, bytes]]:
    carrier: dict[str, str] = {}
    propagator.inject(carrier, context)
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in carrier.items()]
