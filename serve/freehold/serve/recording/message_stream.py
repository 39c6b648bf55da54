"""Anthropic's events, put together to a message: https://docs.anthropic.com/en/docs/build-with-claude/streaming."""

import json
from typing import Any

from freehold.serve.recording.events import Event
from freehold.serve.recording.shapes import as_index, as_object, as_text

_DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
_PARTS = "partial_json"


def assemble_message(found: list[Event]) -> tuple[dict[str, Any], bool]:
    """A message, and whether its stream came to its end."""
    message: dict[str, Any] = {"type": "message", "role": "assistant"}
    blocks: dict[int, dict[str, Any]] = {}
    pieces: dict[tuple[int, str], list[str]] = {}
    ended = False
    for data in (event.data for event in found if isinstance(event.data, dict)):
        index = as_index(data.get("index"), 0)
        match data.get("type"):
            case "message_start":
                message |= as_object(data.get("message"))
            case "content_block_start":
                blocks[index] = dict(as_object(data.get("content_block")))
            case "content_block_delta":
                _add_delta(blocks.setdefault(index, {}), index, as_object(data.get("delta")), pieces)
            case "message_delta":
                message |= as_object(data.get("delta"))
                message["usage"] = as_object(message.get("usage")) | as_object(data.get("usage"))
            case "message_stop":
                ended = True
            case "error":
                message["error"] = data.get("error")
    for (index, name), texts in pieces.items():
        _close(blocks[index], name, "".join(texts))
    message["content"] = [blocks[index] for index in sorted(blocks)]
    return message, ended and "error" not in message


def _add_delta(
    block: dict[str, Any], index: int, delta: dict[str, Any], pieces: dict[tuple[int, str], list[str]]
) -> None:
    kind = as_text(delta.get("type"))
    if kind in _DELTAS:
        name = _DELTAS[kind]
        block.setdefault("type", "thinking" if name == "signature" else name)
        pieces.setdefault((index, name), []).append(as_text(delta.get(name)))
    elif kind == "input_json_delta":
        block.setdefault("type", "tool_use")
        pieces.setdefault((index, _PARTS), []).append(as_text(delta.get(_PARTS)))
    elif kind == "citations_delta" and "citation" in delta:
        citations = block.get("citations")
        block["citations"] = [*(citations if isinstance(citations, list) else ()), delta["citation"]]


def _close(block: dict[str, Any], name: str, text: str) -> None:
    if name != _PARTS:
        block[name] = as_text(block.get(name)) + text
    elif text:
        try:
            block["input"] = json.loads(text)
        except (ValueError, RecursionError):  # torn: kept as it came
            block["input"] = text
