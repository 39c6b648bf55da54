"""The paths that are relayed, and what the gateway has to know of each: its body and its dialect."""

from dataclasses import dataclass
from enum import Enum, auto


class Dialect(Enum):
    """Which API's error shapes a client of this path understands."""

    OPENAI = auto()
    RESPONSES = auto()
    ANTHROPIC = auto()


class BodyFormat(Enum):
    """Where the model's name stands in the request."""

    JSON = auto()
    MULTIPART = auto()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One relayed path; `path` is also the label in the metrics."""

    path: str
    dialect: Dialect = Dialect.OPENAI
    body_format: BodyFormat = BodyFormat.JSON
    has_stream_options: bool = False
    """Its streams tell their usage only to who asks for it."""
    engine_id: str = ""
    """Prefix that vLLM puts before a request's id; empty where requests are over before one could abort them."""
    generates: bool = False
    """Its answers cost tokens beyond the prompt's."""
    hears: bool = False
    """It takes a file of sound; an engine tells the tokens of a stream, and of a whole answer seconds at most."""


def _hearing(path: str, engine_id: str) -> Endpoint:
    return Endpoint(
        path,
        body_format=BodyFormat.MULTIPART,
        has_stream_options=True,
        engine_id=engine_id,
        generates=True,
        hears=True,
    )


_RELAYED = (
    Endpoint("/v1/chat/completions", has_stream_options=True, engine_id="chatcmpl-", generates=True),
    Endpoint("/v1/completions", has_stream_options=True, engine_id="cmpl-", generates=True),
    Endpoint("/v1/embeddings"),
    Endpoint("/v1/responses", Dialect.RESPONSES, engine_id="resp_", generates=True),
    Endpoint("/v1/messages", Dialect.ANTHROPIC, engine_id="chatcmpl-", generates=True),
    Endpoint("/v1/messages/count_tokens", Dialect.ANTHROPIC),
    Endpoint("/v1/rerank"),
    Endpoint("/v2/rerank"),
    Endpoint("/rerank"),
    Endpoint("/v1/score"),
    Endpoint("/score"),
    _hearing("/v1/audio/transcriptions", engine_id="transcribe-"),
    _hearing("/v1/audio/translations", engine_id="translate-"),
)

ENDPOINTS: dict[str, Endpoint] = {endpoint.path: endpoint for endpoint in _RELAYED}
"""Relayed POST paths."""

RESPONSES_PREFIX = "/v1/responses/"
STORED_RESPONSE = Endpoint("/v1/responses/{id}", Dialect.RESPONSES)
"""`GET /v1/responses/{id}` and `POST /v1/responses/{id}/cancel`: their body names no model, their id does."""
