"""What a span may say of a request: names by the conventions, numbers, and no text but names.

The names stand here because `opentelemetry.semconv` keeps those of GenAI as deprecated: the conventions have moved to
https://github.com/open-telemetry/semantic-conventions-genai.
"""

from collections.abc import Mapping, Sequence

Attributes = dict[str, str | bool | int | float | Sequence[str]]

OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
    "/v1/responses": "chat",
    "/v1/responses/{id}": "fetch_response",
    "/v1/messages": "chat",
    "/v1/messages/count_tokens": "count_tokens",
    "/v1/rerank": "rerank",
    "/v2/rerank": "rerank",
    "/rerank": "rerank",
    "/v1/score": "score",
    "/score": "score",
    "/v1/audio/transcriptions": "transcription",
    "/v1/audio/translations": "translation",
}
"""`gen_ai.operation.name` by endpoint: a value of the conventions where there is one, else our own."""

_INTEGERS = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "n": "gen_ai.request.choice.count",
    "seed": "gen_ai.request.seed",
    "top_k": "gen_ai.request.top_k",
}
_DOUBLES = {
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
}
_INT64 = 2**63
"""A larger number cannot be encoded: each would be a traceback in the log, at any client's whim."""
_TEXT_LIMIT = 256


def server_attributes(host: bytes) -> Attributes:
    """The address and port of a `host` header."""
    name, colon, port = encodable(host.decode("latin-1")).rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5):
        return {"server.address": f"{name}{colon}{port}".strip("[]")}
    return {"server.address": name.strip("[]"), "server.port": int(port)}


def usage_attributes(prompt_tokens: int | None, completion_tokens: int | None) -> Attributes:
    """Token counts, where the engine told them."""
    counts = {"gen_ai.usage.input_tokens": prompt_tokens, "gen_ai.usage.output_tokens": completion_tokens}
    return {name: count for name, count in counts.items() if count is not None and count < _INT64}


def request_attributes(parameters: Mapping[str, object]) -> Attributes:
    """The conventions' names for those that are what they should be; a bool is no number."""
    attributes: Attributes = {}
    for name, attribute in _INTEGERS.items():
        value = parameters.get(name)
        if type(value) is int and -_INT64 <= value < _INT64:
            attributes[attribute] = value
    for name, attribute in _DOUBLES.items():
        value = parameters.get(name)
        if type(value) is float or (type(value) is int and -_INT64 <= value < _INT64):
            attributes[attribute] = float(value)
    if attributes.get("gen_ai.request.choice.count") == 1:
        del attributes["gen_ai.request.choice.count"]
    if parameters.get("stream") is True:
        attributes["gen_ai.request.stream"] = True
    return attributes


def encodable(text: str) -> str:
    """Short text without lone surrogates: JSON allows them, and one in a span's name costs its whole batch."""
    return text[:_TEXT_LIMIT].encode(errors="replace").decode()
