"""`signatures`: who must have signed what is loaded (OpenSSF model signing)."""

from collections.abc import Callable, Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from freehold.core.policy.facts import BROUGHT, Facts, Link
from freehold.core.policy.rules.rule import Rule
from freehold.core.policy.stage import Stage
from freehold.core.signing import Signature, Trust, check_file
from freehold.core.store.digest import FileRecord


class SignatureRule(Rule):
    """What an engine loads, an artifact and the base of an adapter, must carry a signature of somebody trusted."""

    remedy: ClassVar[str] = "Have it reviewed and signed: `freehold store sign ARTIFACT --key FILE`."

    keys: tuple[str, ...] = ()
    """Public keys, as files beside the policy or as PEM text."""
    certificates: tuple[str, ...] = ()
    """Certificates under which signers' own were issued, as files beside the policy or as PEM text."""
    subjects: tuple[str, ...] = ()
    """Patterns of the subjects that certificates may have, for example `CN=Models,O=Example*`; without one, every
    subject."""
    at: tuple[Literal["pull", "promote", "serve"], ...] = Field(default=("promote", "serve"), min_length=1)
    """When it is asked. With `pull`, only what its publisher signed (`model.sig` in the repository) comes in; without
    it, a model may be pulled, reviewed, and signed afterwards."""

    @model_validator(mode="after")
    def _trusts_somebody(self) -> "SignatureRule":
        if not (self.keys or self.certificates):
            raise ValueError("it needs keys or certificates, or nothing could ever be signed")
        return self

    @cached_property
    def trust(self) -> Trust:
        """Who is believed. Raises ConfigError with every key and certificate that cannot be read."""
        return Trust.load(self.keys, self.certificates)

    def holds_at(self, stage: Stage) -> bool:
        return stage in self.at

    def with_texts(self) -> "SignatureRule":
        """With the text of every key and certificate in place of its file's name. Raises OSError."""
        return self._with(_text)

    def beside(self, folder: Path) -> "SignatureRule":
        """With relative files taken from the policy's folder."""
        return self._with(lambda given: _placed(given, folder))

    def _with(self, change: Callable[[str], str]) -> "SignatureRule":
        given = {name: getattr(self, name) for name in ("keys", "certificates") if name in self.model_fields_set}
        return self.model_copy(update={name: tuple(map(change, texts)) for name, texts in given.items()})

    def problems(self, facts: Facts, now: datetime) -> Iterator[str]:
        for link in facts.chain:
            if link.is_missing or not link.is_loaded:
                continue
            if link.folder is None and BROUGHT not in {record.path for record in link.files}:
                yield f"{link.name} brings no {BROUGHT}, the signature of its publisher"
            elif link.folder is not None and not self.signer(link):
                yield self._why(link)

    def signer(self, link: Link) -> str:
        """Who signed it, of those that are trusted and whose signature holds; empty for nobody."""
        return next((one.signer for one in link.signatures if not self.problem_of(one, link)), "")

    def problem_of(self, signature: Signature, link: Link) -> str:
        """Why this signature does not count; empty if it does."""
        is_named = any(fnmatchcase(signature.signer, pattern) for pattern in self.subjects)
        if signature.kind == "certificate" and self.subjects and not is_named:
            return f"{signature.signer} is none of {'; '.join(self.subjects)}"
        covered = _covered(signature, link)
        problem = check_file(signature, covered, self.trust).problem
        is_of_trusted = signature.key_id in self.trust.keys if signature.kind == "key" else self.trust.certificates
        if problem and is_of_trusted and (others := _differing(signature, covered)):
            return f"it is of other files; what differs is {', '.join(others)}"
        return problem

    def _why(self, link: Link) -> str:
        tried = [f"{one.path.name}: {self.problem_of(one, link)}" for one in link.signatures] + list(link.unreadable)
        return f"{link.name} is not signed by anybody trusted: {'; '.join(tried) or 'it has no signature'}"


def _text(given: str) -> str:
    return given if "-----BEGIN" in given else Path(given).read_text()


def _placed(text: str, folder: Path) -> str:
    return text if "-----BEGIN" in text else str(folder / Path(text).expanduser())


def _differing(signature: Signature, covered: tuple[FileRecord, ...]) -> list[str]:
    ours = {record.path: record.sha256 for record in covered}
    return sorted(name for name in signature.digests.keys() | ours if signature.digests.get(name) != ours.get(name))


def _covered(signature: Signature, link: Link) -> tuple[FileRecord, ...]:
    """The files that a signature has to cover: all of the artifact's.

    A publisher's covers the whole repository, of which a pull leaves files out; those count as signed. Its own file is
    not among what it covers.
    """
    if signature.path.name != BROUGHT:
        return link.files
    ours = {record.path: record for record in link.files if record.path != BROUGHT}
    left_out = signature.digests.keys() - ours.keys()
    rest = (FileRecord(path=name, size_bytes=0, sha256=signature.digests[name]) for name in left_out)
    return (*ours.values(), *rest)
