"""`licenses`: under which licences a model may be used."""

from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from freehold.core.policy.facts import Facts, Link
from freehold.core.policy.rules.rule import Rule
from freehold.core.policy.spdx import alternatives, canonical, is_identifier


def _identifier(text: str) -> str:
    if not is_identifier(text):
        raise ValueError("no SPDX identifier; a licence of a publisher's own is written LicenseRef-NAME")
    return canonical(text)


def _word(value: Any) -> Any:
    """YAML reads a bare `yes` as true."""
    return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value


Identifier = Annotated[str, AfterValidator(_identifier)]
Word = Literal["yes", "conditions", "no"]
CommercialUse = Annotated[Word, BeforeValidator(_word, json_schema_input_type=Word | bool)]


class LicenseRule(Rule):
    """A licence is allowed by its identifier, or by what the catalogue says of commercial use, unless it is denied."""

    remedy: ClassVar[str] = (
        "Take another model (`freehold models list` has their licences), or have the licence read and added by who "
        "keeps the policy."
    )

    allow: tuple[Identifier, ...] = ()
    """SPDX identifiers: `[Apache-2.0, MIT, LicenseRef-Llama-3.3]`."""
    commercial_use: tuple[CommercialUse, ...] = ()
    """Classes of the catalogue: `[yes]` allows every licence that allows commercial use without conditions, `[yes,
    conditions]` also those that set some."""
    deny: tuple[Identifier, ...] = ()
    """Identifiers that are refused whatever else allows them; alone, they leave every other known licence allowed."""
    stated: dict[Annotated[str, Field(pattern=r"^(hub|path|package):.+$")], Identifier] = Field(default_factory=dict)
    """Licences that were read by hand, by a pattern of the source, for models that do not say theirs:
    `{"path:/srv/models/support": Apache-2.0}`."""

    @model_validator(mode="after")
    def _says_something(self) -> "LicenseRule":
        if not (self.allow or self.commercial_use or self.deny):
            raise ValueError("it needs allow, commercialUse or deny")
        return self

    def problems(self, facts: Facts, now: datetime) -> Iterator[str]:
        for link in facts.chain:
            if link.is_missing:
                yield f"{link.name} is not in the store, so its licence is not known"
                continue
            names = self._names(link)
            is_unsaid = not names and not link.parents and not facts.license_is_open
            if is_unsaid:
                yield f"the licence of {link.name} is not known"
            for name in names:
                if not any(all(self._allows(each, facts) for each in choice) for choice in alternatives(name)):
                    yield f"{link.name} is under {name}; {self._allowed()}"

    def _names(self, link: Link) -> tuple[str, ...]:
        for pattern, name in self.stated.items():
            if link.source and fnmatchcase(link.source, pattern):
                return (name,)
        return link.licenses

    def _allows(self, name: str, facts: Facts) -> bool:
        known = name.lower()
        if known in {each.lower() for each in self.deny}:
            return False
        if known in {each.lower() for each in self.allow} or not (self.allow or self.commercial_use):
            return True
        return facts.commercial_use.get(known) in self.commercial_use

    def _allowed(self) -> str:
        said = []
        if self.allow:
            said.append(f"allowed are {', '.join(self.allow)}")
        if self.commercial_use:
            said.append(f"allowed is commercial use: {', '.join(self.commercial_use)}")
        if self.deny:
            said.append(f"denied are {', '.join(self.deny)}")
        return " and ".join(said)
