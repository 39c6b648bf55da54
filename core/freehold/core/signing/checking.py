"""Whether signatures hold: cryptographically, under who is trusted, and for exactly the files that are recorded.

A certificate is judged as of the day it was issued, as model signing does it: one that has expired since still
verifies, and there are no lists of revoked ones. Whoever must be locked out is taken off the trusted ones.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from freehold.core.errors import IntegrityError, RefusedError
from freehold.core.signing.signature import Signature
from freehold.core.signing.stored import signatures
from freehold.core.signing.trust import Trust
from freehold.core.store import Artifact, FileRecord, Store


@dataclass(frozen=True)
class SignatureCheck:
    """One signature, and what came of checking it."""

    signature: Signature
    problem: str = ""
    """Why it does not hold; empty when it does."""
    is_trusted: bool = True
    """Whether its key or some authority is among the trusted ones; if not, nothing else was looked at."""

    @property
    def holds(self) -> bool:
        return not self.problem


def check(store: Store, artifact: Artifact, trust: Trust) -> list[SignatureCheck]:
    """Every signature of an artifact, checked against its recorded files; empty when it has none.

    Reads no weights: that the bytes are those of the records is `Store.verify`. Raises IntegrityError on a file that is
    no signature.
    """
    return [check_file(one, artifact.lineage.files, trust) for one in signatures(store, artifact)]


def check_file(signature: Signature, records: Iterable[FileRecord], trust: Trust) -> SignatureCheck:
    """One signature against records: exactly these files, neither fewer nor more."""
    # Half a second of imports, which only those with signatures pay.
    from freehold.core.signing.openssf import problem_of

    is_key = signature.kind == "key"
    trusted = [trust.keys.get(signature.key_id, "")] if is_key else list(trust.certificates.values())
    if not any(trusted):
        return SignatureCheck(signature, f"{signature.signer} is not trusted; trusted: {trust}", is_trusted=False)
    return SignatureCheck(signature, problem_of(signature, records, trusted))


def verify(
    store: Store, artifact: Artifact, trust: Trust, *, advance: Callable[[int], None] | None = None
) -> Signature:
    """A signature of somebody trusted that holds, after every file was read again; `advance` is told of bytes read.

    Raises RefusedError when there is none, IntegrityError naming the files that are not what was signed.
    """
    found = check(store, artifact, trust)
    good = next((one.signature for one in found if one.holds), None)
    if good is None:
        why = "; ".join(f"{one.signature.path.name}: {one.problem}" for one in found) or "it has no signature"
        raise RefusedError(
            f"{artifact.id} is not signed by anybody trusted",
            why=why,
            next_step=f"Sign it with `freehold store sign {artifact.id} --key FILE`, or trust who signed it.",
        )
    problems = store.verify(artifact, advance)
    if problems:
        raise IntegrityError(
            f"{artifact.id} is not what {good.signer} signed",
            why="; ".join(f"{one.path}: {one.problem}" for one in problems),
            next_step="Remove it with `freehold store remove`, and bring it in again.",
        )
    return good
