"""What agents are told of each other's drafts, and the judge of all of it.

The conversation stays as it is; what is added goes into its last message where that is the user's, since many chat
templates refuse two messages of one side in a row. The judge reads drafts first and then what the user wants: whatever
form was asked for is its last word. (Mixture of agents, https://arxiv.org/abs/2406.04692, has the same order.)
"""

from collections.abc import Sequence
from typing import Any

_CRITIQUE = """\


---
Several drafts of the next answer to this conversation:

{drafts}
---
Do not answer the conversation itself. Check each draft, step by step where it calculates or states facts. Say in a \
few sentences what is wrong or missing in it, and which of them is best."""

_MERGE = """\
Several drafts of the next answer to this conversation{and_critiques}:

{drafts}
---
Write the one best answer: keep what is right, correct what is wrong, do not mention the drafts.
---

"""


def critique_messages(messages: Sequence[Any], drafts: Sequence[str], critiques: Sequence[str]) -> list[Any]:
    """What an agent is asked for its critique; `critiques` are those of earlier rounds."""
    return _with_text(messages, after=_CRITIQUE.format(drafts=_listed(drafts, critiques)))


def merge_messages(messages: Sequence[Any], drafts: Sequence[str], critiques: Sequence[str]) -> list[Any]:
    """What the judge is asked."""
    and_critiques = ", and what was said of them" if critiques else ""
    return _with_text(messages, before=_MERGE.format(and_critiques=and_critiques, drafts=_listed(drafts, critiques)))


def instruction_bytes(parts: int) -> int:
    """The most that is said around what others wrote; no token is shorter than a byte."""
    return max(len(_CRITIQUE), len(_MERGE)) + parts * len("Critique 100:\n\n\n")


def _listed(drafts: Sequence[str], critiques: Sequence[str]) -> str:
    texts = [("Draft", number, text) for number, text in enumerate(drafts, 1)]
    texts += [("Critique", number, text) for number, text in enumerate(critiques, 1)]
    return "\n\n".join(f"{kind} {number}:\n{text.strip()}" for kind, number, text in texts)


def _with_text(messages: Sequence[Any], before: str = "", after: str = "") -> list[Any]:
    *others, last = messages
    if last.get("role") != "user":
        return [*messages, {"role": "user", "content": (before + after).strip()}]
    content = last.get("content")
    if isinstance(content, list):
        around = [[{"type": "text", "text": text}] if text else [] for text in (before, after)]
        return [*others, {**last, "content": [*around[0], *content, *around[1]]}]
    return [*others, {**last, "content": f"{before}{content or ''}{after}"}]
