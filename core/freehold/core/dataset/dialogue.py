"""A chat as a whole: messages in an order that can be learnt from."""

from typing import Any

from freehold.core.dataset.examples import Message
from freehold.core.dataset.messages import read_message
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.tools import Tools, pair_calls
from freehold.core.dataset.wording import type_name


def read_messages(raw: Any, place: str, findings: Findings) -> tuple[Message, ...] | None:
    """Every message, or None if one of them could not be read."""
    if not isinstance(raw, list):
        findings.error("bad_messages", f"{place} is {type_name(raw)}, and must be a list of messages")
        return None
    if not raw:
        findings.error("bad_messages", f"{place} is empty")
        return None
    read = [read_message(value, f"{place}[{index}]", findings) for index, value in enumerate(raw)]
    whole = [message for message in read if message is not None]
    return tuple(whole) if len(whole) == len(read) else None


def check_conversation(
    messages: tuple[Message, ...], tools: Tools, findings: Findings, *, place: str = "messages", first: int = 0
) -> None:
    """Report what keeps a chat from being learnt from: nothing to imitate, calls that do not pair up."""
    pair_calls(messages, tools, findings, place=place, first=first)
    answers = [message for message in messages if message["role"] == "assistant"]
    if not answers:
        findings.error("no_assistant_turn", "there is no assistant message, so nothing would be learnt")
    elif all(message.get("weight") == 0 for message in answers):
        findings.error("nothing_trained", "every assistant message has weight 0, so nothing would be learnt")
    elif messages[-1]["role"] != "assistant":
        last = messages[-1]["role"]
        findings.error("last_turn", f"the last message is the {last}'s; end with the assistant's, or leave it out")
    if messages[0]["role"] == "assistant":
        findings.warning("first_turn", "the assistant speaks first; the engine's prompts begin with a user")


def read_prompt(raw: Any, place: str, findings: Findings) -> tuple[Message, ...] | None:
    """What is answered: messages up to where the assistant speaks, or a string as the user's one message."""
    if isinstance(raw, str):
        raw = [{"role": "user", "content": raw}]
    messages = read_messages(raw, place, findings)
    if messages is not None and messages[-1]["role"] == "assistant":
        findings.error("last_turn", f"{place} ends with the assistant's message; the answers belong after the prompt")
    return messages


def read_answer(raw: Any, place: str, findings: Findings) -> tuple[Message, ...] | None:
    """One assistant message, as such, in a list, or as a string."""
    if isinstance(raw, str):
        raw = {"role": "assistant", "content": raw}
    messages = read_messages(raw if isinstance(raw, list) else [raw], place, findings)
    if messages is not None and [message["role"] for message in messages] != ["assistant"]:
        findings.error("bad_answer", f"{place} must be one assistant message, and is {_roles(messages)}")
        return None
    return messages


def _roles(messages: tuple[Message, ...]) -> str:
    return ", ".join(message["role"] for message in messages)
