"""Which answer most drafts give: self-consistency.

Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models", https://arxiv.org/abs/2203.11171
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple, Protocol

_ENDS = " \t\r\n.,;:!?\"'`*_()[]"
"""Stripped from both ends: models frame an answer in these, or do not."""


class Ballot(Protocol):
    """One draft, as votes are counted."""

    @property
    def text(self) -> str: ...

    @property
    def mean_logprob(self) -> float | None:
        """Of its tokens; None if the engine did not tell."""


class Verdict(NamedTuple):
    """What came out."""

    chosen: int
    """Index of the draft that is the answer."""
    votes: int
    """Drafts that give this answer; 0 if none has one by the pattern, and the first is taken."""


def vote(drafts: Sequence[Ballot], pattern: str | None) -> Verdict:
    """The draft that speaks for the largest group of equal answers. `drafts` must not be empty.

    Of groups of one size the one with the likeliest draft wins where every draft has told its probability, else the one
    that came first; so it is within a group.
    """
    groups: dict[str, list[int]] = {}
    for index, draft in enumerate(drafts):
        answer = answer_of(draft.text, pattern)
        if answer is not None:
            groups.setdefault(answer, []).append(index)
    likely = [draft.mean_logprob for draft in drafts]
    scores = [score if score is not None and None not in likely else 0.0 for score in likely]
    if not groups:
        return Verdict(max(range(len(drafts)), key=lambda index: scores[index]), 0)
    # `max` takes the first of equals, and groups are in the order of their first draft.
    largest = max(groups.values(), key=lambda group: (len(group), max(scores[index] for index in group)))
    return Verdict(max(largest, key=lambda index: scores[index]), len(largest))


def answer_of(text: str, pattern: str | None) -> str | None:
    """What counts as the answer of a draft, in a form that equals compare in; None if the pattern finds none."""
    if pattern is not None:
        matches = list(re.finditer(pattern, text))
        if not matches:
            return None
        last = matches[-1]
        text = next((group for group in last.groups() if group is not None), last[0])
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_ENDS)
