"""One request as the relay needs it: parsed once, and written anew only where an engine wants it different."""

from typing import Any

from starlette.types import Scope

from freehold.serve.engines.engine import Engine
from freehold.serve.gateway import headers
from freehold.serve.gateway.body import model_of, parse_object
from freehold.serve.gateway.edit import with_fields
from freehold.serve.gateway.endpoints import BodyFormat, Dialect, Endpoint
from freehold.serve.gateway.multipart import Form, read_form

_TRUE = ("true", "1", "t", "yes", "y", "on")
"""What pydantic, and so vLLM, also takes for true."""

_FORM_USAGE = "stream_include_usage"
"""What a form has in place of `stream_options`."""
_FORM_STREAM = frozenset({"stream", _FORM_USAGE, "stream_continuous_usage_stats"})
"""vLLM refuses the others without the first."""


class RelayedRequest:
    """A request's body and what it says: a JSON `document`, or a `form`."""

    __slots__ = ("body", "document", "endpoint", "form", "hides_usage", "model")

    def __init__(
        self, endpoint: Endpoint, body: bytes, model: str, document: dict[str, Any], form: Form | None = None
    ) -> None:
        self.endpoint = endpoint
        self.body = body
        self.model = model
        """As the client names it."""
        self.document = document
        """Empty for a form."""
        self.form = form
        self.hides_usage = endpoint.has_stream_options and self.is_stream and not self._asks_for_usage()
        """It streams and does not ask for usage: the gateway does, and keeps it from the client."""

    @property
    def is_stream(self) -> bool:
        """It wants its answer as an event stream."""
        value = self.field("stream")
        return value is True or value == 1 or (isinstance(value, str) and value.lower() in _TRUE)

    def field(self, name: str) -> Any:
        """A top-level field: a JSON value, or the text of a form's field; None where it is absent."""
        return self.document.get(name) if self.form is None else self.form.text(self.body, name)

    def _asks_for_usage(self) -> bool:
        """It asks by itself, or in a way that the engine will refuse anyhow."""
        if self.form is not None:
            return str(self.field(_FORM_USAGE) or "").lower() in _TRUE
        options = self.document.get("stream_options")
        return options is not None and (not isinstance(options, dict) or bool(options.get("include_usage")))

    def for_engine(self, engine: Engine, request_id: str) -> bytes:
        """The body that this engine gets."""
        if self.form is not None:
            wanted = {} if engine.upstream_model == self.model else {"model": engine.upstream_model}
            wanted |= {_FORM_USAGE: "true"} if self.hides_usage else {}
            return self.form.with_fields(self.body, wanted) if wanted else self.body
        fields: dict[str, Any] = {}
        if engine.upstream_model != self.model:
            fields["model"] = engine.upstream_model
        if self.hides_usage:
            fields["stream_options"] = self._metered_options()
        if engine.can_abort and self.endpoint.dialect is Dialect.RESPONSES:
            fields["request_id"] = request_id  # every other endpoint takes it from a header
        return with_fields(self.body, fields, self.document) if fields else self.body

    def _metered_options(self) -> dict[str, Any]:
        options = self.document.get("stream_options") or {}
        # vLLM heeds the second one only beside the first, so the client has not asked for it either.
        quiet = {"continuous_usage_stats": False} if "continuous_usage_stats" in options else {}
        return {**options, **quiet, "include_usage": True}

    def as_whole(self, engine: Engine) -> bytes:
        """The same request for an answer in one piece: a copy that nobody waits for."""
        if self.form is not None:
            off = dict.fromkeys(_FORM_STREAM & self.form.fields.keys(), "false")
            return self.form.with_fields(self.body, {"model": engine.upstream_model} | off)
        fields: dict[str, Any] = {"model": engine.upstream_model}
        if "stream" in self.document:
            fields["stream"] = False
        if self.document.get("stream_options") is not None:
            fields["stream_options"] = None
        return with_fields(self.body, fields, self.document)


def parse_request(endpoint: Endpoint, scope: Scope, body: bytes) -> RelayedRequest:
    """Raises RequestError that says where the body is wrong."""
    if endpoint.body_format is BodyFormat.MULTIPART:
        form = read_form(body, headers.find(scope["headers"], b"content-type"))
        return RelayedRequest(endpoint, body, form.model, {}, form)
    document = parse_object(body)
    return RelayedRequest(endpoint, body, model_of(document), document)
