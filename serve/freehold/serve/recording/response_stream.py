"""Events of the Responses API: the last one holds the whole answer.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from typing import Any

from freehold.serve.recording.events import Event
from freehold.serve.recording.shapes import as_index, as_object, as_text

_FINAL = ("response.completed", "response.incomplete", "response.failed")


def assemble_response(found: list[Event]) -> tuple[dict[str, Any], bool]:
    """A response, and whether its stream came to its end; of a torn one, what there was until then."""
    last: dict[str, Any] = {"object": "response"}
    items: dict[int, dict[str, Any]] = {}
    texts: dict[tuple[int, str], list[str]] = {}
    for data in (event.data for event in found if isinstance(event.data, dict)):
        kind, index = as_text(data.get("type")), as_index(data.get("output_index"), 0)
        if isinstance(data.get("response"), dict):
            last = data["response"]
            if kind in _FINAL:
                return last, kind != "response.failed"
        elif kind in ("response.output_item.added", "response.output_item.done"):
            items[index] = dict(as_object(data.get("item")))
            if kind.endswith(".done"):
                texts = {place: text for place, text in texts.items() if place[0] != index}
        elif kind.endswith(".delta"):
            texts.setdefault((index, kind), []).append(as_text(data.get("delta")))
        elif kind == "error":
            last = last | {"error": {name: data.get(name) for name in ("code", "message", "param")}}
    for (index, kind), pieces in texts.items():
        _add_open(items.setdefault(index, {}), kind, "".join(pieces))
    return last | {"output": [items[index] for index in sorted(items)]}, False


def _add_open(item: dict[str, Any], kind: str, text: str) -> None:
    """What an item had got so far when the stream broke off."""
    if kind == "response.function_call_arguments.delta":
        item.setdefault("type", "function_call")
        item["arguments"] = text
    elif kind == "response.output_text.delta":
        item.setdefault("type", "message")
        item["content"] = [{"type": "output_text", "text": text}]
    elif kind.startswith("response.reasoning"):
        item.setdefault("type", "reasoning")
        item["content"] = [{"type": "reasoning_text", "text": text}]
