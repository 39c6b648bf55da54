"""A stream put together: what the same request would have got without `stream`."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from freehold.serve.recording.chat_stream import assemble_chat, assemble_completion
from freehold.serve.recording.events import Event, events
from freehold.serve.recording.message_stream import assemble_message
from freehold.serve.recording.response_stream import assemble_response


class Assembled(NamedTuple):
    """An answer, and whether its stream came to a proper end."""

    answer: dict[str, Any]
    is_whole: bool


_ASSEMBLERS: dict[str, Callable[[list[Event]], tuple[dict[str, Any], bool]]] = {
    "/v1/chat/completions": assemble_chat,
    "/v1/completions": assemble_completion,
    "/v1/messages": assemble_message,
    "/v1/responses": assemble_response,
}


def assemble(endpoint: str, chunks: Iterable[bytes]) -> Assembled:
    """Put a stream of this endpoint together. Never raises for what the stream says; unknown events are passed over.

    A stream of another endpoint becomes `{"events": [its data, …]}`.
    """
    found = list(events(chunks))
    assembler = _ASSEMBLERS.get(endpoint, _unknown)
    return Assembled(*assembler(found))


def _unknown(found: list[Event]) -> tuple[dict[str, Any], bool]:
    kept = [event.data if event.data is not None else event.text for event in found if not event.is_done]
    return {"events": kept}, bool(found)
