"""A prompt, whatever it came from."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from freehold.evaluate.targets.reply import Reply


class TaskDocument(BaseModel):
    """What lm-evaluation-harness needs to score an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    folder: str | None = None
    fewshot: int | None = None
    doc: dict[str, Any]


class Prompt(BaseModel):
    """A line of the run's `prompts.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    messages: tuple[dict[str, Any], ...]
    """In OpenAI's shape, as they are sent."""
    tools: tuple[dict[str, Any], ...] = ()
    expected: Any = None
    """What is right; which shapes there are is the scorer's matter."""
    slices: dict[str, str] = Field(default_factory=dict)
    request: dict[str, Any] = Field(default_factory=dict)
    """Fields of the request for this prompt alone, by the API's names."""
    task: TaskDocument | None = None
    replies: dict[str, Reply] = Field(default_factory=dict)
    """What answered when it was recorded: `answer` for the client, `shadow:<model>` for a shadow."""
    origin: str = ""
    """Where it was read, for messages."""

    def body(self) -> dict[str, Any]:
        """What it adds to a request."""
        tools = {"tools": list(self.tools)} if self.tools else {}
        return {"messages": list(self.messages)} | tools | self.request


def digest(messages: Any, tools: Any = ()) -> str:
    """The id of a prompt that has none of its own: equal content, equal id."""
    document = json.dumps([messages, list(tools)], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(document.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def question_of(prompt: Prompt) -> str:
    """The conversation as a judge reads it."""
    return "\n\n".join(f"[{message.get('role')}]\n{text_of(message)}" for message in prompt.messages)


def text_of(message: dict[str, Any]) -> str:
    """A message's text: of its parts, those that are text; tool calls as JSON where there is none."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        content = "\n".join(str(part["text"]) if "text" in part else f"({part.get('type')})" for part in parts)
    if not content and message.get("tool_calls"):
        return json.dumps([call.get("function") for call in message["tool_calls"]], ensure_ascii=False)
    return str(content or "")
