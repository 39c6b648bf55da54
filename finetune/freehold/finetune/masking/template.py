"""A model's chat template as the engine applies it: messages and tools in, text and tokens out."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import jinja2

from freehold.core.dataset.examples import Message, Origin
from freehold.core.errors import UserError

# What a template raises on messages that it was not written for, besides jinja's own.
_TEMPLATE_FAILURES = (jinja2.TemplateError, TypeError, ValueError, KeyError, IndexError, AttributeError)

_PROBE = "freehold probe"


class TemplateError(UserError):
    """A chat template cannot say, or does not say, which tokens are the assistant's."""

    code = "chat_template"


class ChatTemplate:
    """Renders as vLLM does: the same messages, tools and arguments, tokenised without further special tokens."""

    def __init__(
        self, tokenizer: Any, *, source: str | None = None, arguments: Mapping[str, Any] | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self._source = source
        self._arguments = dict(arguments or {})

    @property
    def uses_clock(self) -> bool:
        """Whether a prompt depends on the day it is rendered on."""
        source = self._source or self.tokenizer.chat_template
        texts = source.values() if isinstance(source, dict) else [source or ""]
        return any("strftime_now" in text for text in texts)

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]] = (),
        *,
        prompt: bool,
        origin: Origin | None = None,
    ) -> str:
        """The text of the messages; with `prompt`, up to where the assistant begins. Raises TemplateError."""
        if not (self._source or self.tokenizer.chat_template):
            raise TemplateError(
                "The tokenizer has no chat template",
                why="a base model knows no turns",
                next_step='Tune an instruct model, or write plain text: a `.txt` file or lines of {"text": …}.',
            )
        seen = [as_engine_sees(message, in_parts=self._wants_parts) for message in messages]
        if not prompt and seen[-1].get("tool_calls"):
            # Calls to learn are written with the name first, as models write them, whatever order their history has.
            seen[-1]["tool_calls"] = messages[-1]["tool_calls"]
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    seen,
                    tools=list(tools) or None,
                    chat_template=self._source,
                    tokenize=False,
                    add_generation_prompt=prompt,
                    **self._arguments,
                )
            )
        except _TEMPLATE_FAILURES as error:
            raise TemplateError(f"{place(origin)}the model's chat template refuses it", why=str(error)) from error

    @cached_property
    def _wants_parts(self) -> bool:
        """Whether the template shows a message's text only if it comes as a list of parts."""
        for in_parts in (False, True):
            probe = as_engine_sees({"role": "user", "content": _PROBE}, in_parts=in_parts)
            # One that refuses a lone user message says so, with its reason, when it meets an example.
            with suppress(*_TEMPLATE_FAILURES):
                text = self.tokenizer.apply_chat_template(
                    [probe], chat_template=self._source, tokenize=False, **self._arguments
                )
                if _PROBE in text:
                    return in_parts
        return False

    def tokens(self, text: str) -> tuple[int, ...]:
        """Token ids of rendered text: the template wrote every special token that there is."""
        return tuple(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def place(origin: Origin | None) -> str:
    """`train.jsonl:7: ` at the head of a message."""
    return f"{origin}: " if origin else ""


def as_engine_sees(message: Message, *, in_parts: bool = False) -> Message:
    """The message as vLLM hands it to a template: no weight, text as one string, reasoning under both its names.

    Templates for images get text as a list of parts. Keys of calls are in vLLM's order, which `tojson` shows: that of
    `ChatCompletionMessageToolCallParam` of the openai package.
    """
    seen = {key: value for key, value in message.items() if key not in ("weight", "reasoning_content")}
    text = message.get("content") or ""
    seen["content"] = [{"type": "text", "text": text}] if in_parts else text
    if calls := message.get("tool_calls"):
        seen["tool_calls"] = [_as_engine_orders(call) for call in calls]
    if reasoning := message.get("reasoning_content"):
        seen |= {"reasoning": reasoning, "reasoning_content": reasoning}
    return seen


def _as_engine_orders(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    ordered = {"arguments": function["arguments"], "name": function["name"]}
    return {key: call[key] for key in ("id",) if key in call} | {"function": ordered, "type": "function"}


def shows(text: str, content: str) -> bool:
    """Whether rendered text holds a message's content: trimmed, or escaped as in JSON, is good enough."""
    wanted = content.strip()
    return wanted in text or json.dumps(wanted, ensure_ascii=False)[1:-1] in text
