"""Which words are names of closed models: those of the catalogue, of `names.yaml`, and of the person who asks."""

import re
from dataclasses import dataclass
from functools import cache, cached_property

from freehold.core.plan.closed import closed_models
from freehold.evaluate.scan.knowledge.data import read_data

LONGEST = 120
"""Characters of a name; what is longer is a text."""


@dataclass(frozen=True, slots=True)
class ClosedName:
    """A closed model as a program names it."""

    name: str
    """Without the prefix that says who answers."""
    provider: str
    short: bool = False
    """The word means other things as well."""


@dataclass(frozen=True)
class ClosedNames:
    """Recognises them; `more` are names that count as well: a deployment's, an alias."""

    more: tuple[str, ...] = ()

    @cached_property
    def _more(self) -> frozenset[str]:
        return frozenset(name.lower() for name in self.more)

    def recognise(self, text: str) -> ClosedName | None:
        """The closed model that the whole text names, whatever its prefixes."""
        if not 2 <= len(text) <= LONGEST or text.strip() != text:
            return None
        if text.lower() in self._more:
            return ClosedName(text, "named")
        for name in _bare(text):
            if found := _recognise(name):
                return found
        return None

    def search(self, text: str) -> list[tuple[int, ClosedName]]:
        """Every name in a longer text, each with where it begins."""
        found = []
        for match in _WORD.finditer(text):
            word = match[0].rstrip(".:-,@")
            if (closed := self.recognise(word)) and not closed.short:
                found.append((match.start(), closed))
        return found


_WORD = re.compile(r"[A-Za-z][\w.:@/-]{1,119}")


@cache
def _recognise(name: str) -> ClosedName | None:
    lower = name.lower()
    if _unless().fullmatch(lower):
        return None
    if lower in _short():
        return ClosedName(name, _short()[lower], short=True)
    if known := closed_models().get(lower):
        return ClosedName(name, known.provider)
    return next((ClosedName(name, provider) for provider, one in _patterns() if one.fullmatch(lower)), None)


def _bare(text: str) -> list[str]:
    """The text, and what is left when its prefixes are taken away one after the other."""
    names = [text]
    while (match := _prefix().match(names[-1])) and len(names) < 4:
        names.append(names[-1][match.end() :])
    return names


@cache
def _prefix() -> re.Pattern[str]:
    listed = "|".join(re.escape(prefix) for prefix in read_data("names")["prefixes"])
    return re.compile(f"(?:{listed})[/:]", re.IGNORECASE)


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    patterns = read_data("names")["patterns"]
    return [(provider, re.compile("|".join(f"(?:{each})" for each in given))) for provider, given in patterns.items()]


@cache
def _unless() -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{each})" for each in read_data("names")["unless"]))


@cache
def _short() -> dict[str, str]:
    return dict(read_data("names")["short"])
