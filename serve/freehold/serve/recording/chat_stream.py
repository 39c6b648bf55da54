"""Chunks of chat and text completions, put together.

Chat: https://platform.openai.com/docs/api-reference/chat-streaming. vLLM's additions: `reasoning` (once
`reasoning_content`) in the delta, `stop_reason` in the choice. Log-probabilities are left out.
"""

from typing import Any

from freehold.serve.recording.events import Event
from freehold.serve.recording.shapes import as_index, as_object, as_text, objects

_ABOUT = ("id", "created", "model", "system_fingerprint", "service_tier")
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
_ENDS = ("finish_reason", "stop_reason")

Choices = dict[int, dict[str, Any]]


def assemble_chat(found: list[Event]) -> tuple[dict[str, Any], bool]:
    """A chat completion, and whether its stream came to its end."""
    answer: dict[str, Any] = {"object": "chat.completion"}
    choices: Choices = {}
    for chunk in _chunks(found, answer):
        for piece in objects(chunk.get("choices")):
            index = as_index(piece.get("index"), 0)
            choice = choices.setdefault(index, {"index": index, "message": {}, "finish_reason": None})
            _add_delta(choice["message"], as_object(piece.get("delta")))
            _set(choice, piece, _ENDS)
    for choice in choices.values():
        choice["message"] = _message(choice["message"])
    return _finished(answer, choices, found)


def assemble_completion(found: list[Event]) -> tuple[dict[str, Any], bool]:
    """A text completion, and whether its stream came to its end."""
    answer: dict[str, Any] = {"object": "text_completion"}
    choices: Choices = {}
    texts: dict[int, list[str]] = {}
    for chunk in _chunks(found, answer):
        for piece in objects(chunk.get("choices")):
            index = as_index(piece.get("index"), 0)
            choice = choices.setdefault(index, {"index": index, "text": "", "finish_reason": None})
            texts.setdefault(index, []).append(as_text(piece.get("text")))
            _set(choice, piece, _ENDS)
    for index, pieces in texts.items():
        choices[index]["text"] = "".join(pieces)
    return _finished(answer, choices, found)


def _chunks(found: list[Event], answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The chunks; what each says of the answer as a whole goes into `answer`."""
    chunks = [event.data for event in found if isinstance(event.data, dict)]
    for chunk in chunks:
        _set(answer, chunk, _ABOUT)
        # The last usage counts: vLLM's `continuous_usage_stats` sends one with every chunk.
        _set(answer, chunk, ("usage", "error"))
    return chunks


def _set(target: dict[str, Any], source: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if source.get(name) is not None:
            target[name] = source[name]


def _finished(answer: dict[str, Any], choices: Choices, found: list[Event]) -> tuple[dict[str, Any], bool]:
    answer["choices"] = [choices[index] for index in sorted(choices)]
    # Not every server sends [DONE].
    ended = any(event.is_done for event in found) or (
        bool(choices) and all(choice["finish_reason"] is not None for choice in choices.values())
    )
    return answer, ended and "error" not in answer


def _add_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Collect a delta; texts stay lists of pieces until the end."""
    _set(message, delta, ("role",))
    for name in _TEXTS:
        if isinstance(delta.get(name), str):
            message.setdefault(name, []).append(delta[name])
    calls: Choices = message.setdefault("tool_calls", {})
    for piece in objects(delta.get("tool_calls")):
        call = calls.setdefault(_call_index(calls, piece), {"id": "", "type": "function", "name": "", "arguments": []})
        _set(call, {name: piece.get(name) or None for name in ("id", "type")}, ("id", "type"))
        _add_function(call, as_object(piece.get("function")))
    if isinstance(delta.get("function_call"), dict):
        call = message.setdefault("function_call", {"name": "", "arguments": []})
        _add_function(call, delta["function_call"])


def _call_index(calls: Choices, piece: dict[str, Any]) -> int:
    """Where the call stands. Some servers leave the index out: then a new id begins a new call."""
    index = piece.get("index")
    if isinstance(index, int):
        return index
    same = [number for number, call in calls.items() if call["id"] == piece.get("id")]
    if same or not piece.get("id"):
        return same[0] if same else max(calls, default=0)
    return max(calls, default=-1) + 1


def _add_function(call: dict[str, Any], function: dict[str, Any]) -> None:
    # A name comes whole, in the first piece; some servers repeat it in each.
    call["name"] = call["name"] or as_text(function.get("name"))
    call["arguments"].append(as_text(function.get("arguments")))


def _message(collected: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": collected.get("role", "assistant"), "content": None}
    for name in _TEXTS:
        if name in collected:
            message[name] = "".join(collected[name])
    calls = collected.get("tool_calls") or {}
    if calls:
        message["tool_calls"] = [
            {"id": call["id"], "type": call["type"], "function": _function(call)} for _, call in sorted(calls.items())
        ]
        # vLLM streams an empty text beside calls, and answers null when it does not stream.
        message["content"] = message["content"] or None
    if "function_call" in collected:
        message["function_call"] = _function(collected["function_call"])
    return message


def _function(call: dict[str, Any]) -> dict[str, str]:
    return {"name": call["name"], "arguments": "".join(call["arguments"])}
