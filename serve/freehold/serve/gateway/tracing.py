"""OpenTelemetry traces, switched on by the standard environment variables and by nothing else.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/: sampler, resource, batches, limits,
propagators and the exporter's headers, certificates and compression are read by the SDK itself from the process's
environment. Without an exporter nothing of OpenTelemetry is imported.
"""

import ipaddress
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from freehold.core.errors import ConfigError, OfflineError
from freehold.serve.gateway.headers import RawHeaders

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

SERVICE_NAME = "freehold-gateway"

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_DEFAULT_ENDPOINT = "http://localhost:4318"


class AttemptSpan(Protocol):
    """One try at one engine, as a client of it (CLIENT)."""

    def engine_headers(self) -> list[tuple[bytes, bytes]]:
        """`traceparent` and what belongs to it, that make the engine's spans children of this one."""

    def first_byte(self) -> None:
        """As `ExchangeSpan.first_byte`, which calls this."""

    def end(self, status: int, error_type: str = "") -> None:
        """The engine answered with `status`, 0 if it did not answer; a second call does nothing."""


class ExchangeSpan(Protocol):
    """One request at the gateway (SERVER). Everything but `end` may be left out."""

    def asked(self, parameters: Mapping[str, object]) -> None:
        """What the request's body asks for. Takes the numbers that the conventions name, and no text at all."""

    def attempt(
        self, engine_name: str, upstream_model: str, address: tuple[str, int], *, provider: str = "vllm"
    ) -> AttemptSpan:
        """The span of one try at an engine that listens at `address` (host and port).

        `provider` is `openai` or `anthropic` for an upstream of that API.
        """

    def engine_headers(self) -> list[tuple[bytes, bytes]]:
        """Those of the last attempt, or of the request itself before there is one."""

    def part(self, name: str) -> "ExchangeSpan":
        """The span of one part of the request, with attempts of its own (INTERNAL)."""

    def first_byte(self) -> None:
        """The first bytes of an event stream are here; not called for an answer that comes in one piece."""

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
        """The request is over; `status` is what the client saw, 499 if it left, 0 if nothing was sent.

        `error_type` is the error's `code`. An attempt that is still open ends with it. `attempts` is by default the
        number of spans that `attempt` began.
        """


class GatewayTracer(Protocol):
    """Begins the span of each request; exports them in batches from a thread of its own."""

    propagated: frozenset[bytes]
    """Headers (`traceparent`, …) to leave out of what goes to the engine: `engine_headers` has their successors."""

    def start(self, scope_headers: RawHeaders, endpoint_path: str, model: str, method: str = "POST") -> ExchangeSpan:
        """The span of a request that has just arrived, as a child of the client's span if its headers name one.

        `model` is the name that the client sent, if the deployment knows it, else empty: a span's name must not take
        as many values as clients can think of.

        Its kind is SERVER: the conventions describe GenAI spans as the caller sees them (CLIENT), but this process is
        the one that is called, and a SERVER span is what joins it to the caller's CLIENT span in a service map. Each
        attempt at an engine is a CLIENT child. Token counts are on this span alone, so that sums over a trace count
        them once.
        """

    def shutdown(self, timeout_s: float = 5.0) -> bool:
        """Export what is left; False if the collector did not take it in time. Blocks: call it in a thread."""


def create_tracer(environ: Mapping[str, str], service_version: str, *, offline: bool = False) -> GatewayTracer | None:
    """A tracer that exports over OTLP/HTTP, or None where the environment asks for none.

    Call it once per process that serves, after any fork: it starts the thread that exports. `environ` must be that of
    the process, since the SDK reads the rest from there. Raises ConfigError on settings that cannot be honoured, and
    OfflineError if traces would leave this machine while `offline`.
    """
    if not _is_wanted(environ):
        return None
    if problems := _problems(environ):
        raise ConfigError("Traces cannot be exported as the environment says", problems)
    if offline:
        _check_loopback(_first(environ, _ENDPOINTS) or _DEFAULT_ENDPOINT)

    from opentelemetry import propagate
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from freehold.serve.gateway.spans import SdkTracer

    # It quotes whatever a client sends as `baggage`.
    logging.getLogger("opentelemetry.baggage.propagation").setLevel(logging.ERROR)
    # Not at exit: that would wait half a minute for a collector that is gone; `shutdown` is bounded.
    provider = TracerProvider(resource=_resource(service_version), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return SdkTracer(provider, propagate.get_global_textmap(), service_version)


def _is_wanted(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = _exporter(environ)
    return exporter != "none" and bool(exporter or _first(environ, _ENDPOINTS))


def _problems(environ: Mapping[str, str]) -> list[str]:
    problems = []
    if (exporter := _exporter(environ)) not in ("", "otlp"):
        problems.append(f"OTEL_TRACES_EXPORTER={exporter} is not supported; write otlp or none")
    if (protocol := _first(environ, _PROTOCOLS)) not in ("", "http/protobuf"):
        problems.append(
            f"The OTLP protocol {protocol} is not supported; write OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf and name "
            "the collector's HTTP port, which is 4318 by default"
        )
    endpoint = _first(environ, _ENDPOINTS) or _DEFAULT_ENDPOINT
    if not endpoint.lower().startswith(("http://", "https://")):
        problems.append("The OTLP endpoint is no URL; write one that begins with http:// or https://")
    return problems


def _exporter(environ: Mapping[str, str]) -> str:
    return environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    """The first that is set; an empty value counts as unset, by the specification."""
    return next((value for name in names if (value := environ.get(name, "").strip())), "")


def _check_loopback(endpoint: str) -> None:
    host = urlsplit(endpoint).hostname or ""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback:
        raise OfflineError(
            f"Traces would go to {host}",
            why="--offline allows loopback only",
            next_step="Run a collector on this machine, or set OTEL_TRACES_EXPORTER=none.",
        )


def _resource(service_version: str) -> "Resource":
    """Who reports: what the environment says, else our own name and version."""
    from opentelemetry.sdk.resources import Resource

    detected = Resource.create()
    named = Resource({"service.version": service_version}).merge(detected)
    if str(detected.attributes["service.name"]).startswith("unknown_service"):
        return named.merge(Resource({"service.name": SERVICE_NAME}))
    return named
