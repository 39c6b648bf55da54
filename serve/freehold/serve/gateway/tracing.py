"""OpenTelemetry traces, switched on by the standard environment variables and by nothing else.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/: sampler, resource, batches, limits,
propagators and the exporter's headers, certificates and compression are read by the SDK itself from the process's
environment. Without an exporter nothing of OpenTelemetry is imported.
"""

import ipaddress
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from freehold.core.errors import ConfigError, OfflineError

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from freehold.serve.gateway.spans import GatewayTracer

SERVICE_NAME = "freehold-gateway"

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_DEFAULT_ENDPOINT = "http://localhost:4318"


def create_tracer(environ: Mapping[str, str], service_version: str, *, offline: bool = False) -> "GatewayTracer | None":
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

    from freehold.serve.gateway.spans import GatewayTracer

    # It quotes whatever a client sends as `baggage`.
    logging.getLogger("opentelemetry.baggage.propagation").setLevel(logging.ERROR)
    # Not at exit: that would wait half a minute for a collector that is gone; `shutdown` is bounded.
    provider = TracerProvider(resource=_resource(service_version), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return GatewayTracer(provider, propagate.get_global_textmap(), service_version)


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
