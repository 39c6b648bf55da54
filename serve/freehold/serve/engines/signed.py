"""Before weights are loaded: who has signed them, and whether they are still what was signed."""

from dataclasses import dataclass

from freehold.core.errors import IntegrityError, RefusedError
from freehold.core.signing import SignatureCheck, Trust, check, verify
from freehold.core.store import Artifact, Store
from freehold.serve.config import SignaturesConfig


@dataclass(frozen=True)
class SignedOnly:
    """What a deployment's `signatures` ask for."""

    store: Store
    trust: Trust
    required: bool

    @classmethod
    def of(cls, config: SignaturesConfig | None, store: Store) -> "SignedOnly | None":
        """None for a deployment that asks for nothing. Raises ConfigError for keys that cannot be read."""
        if config is None:
            return None
        return cls(store, Trust.load(config.keys, config.certificates), config.required)

    def check(self, artifact: Artifact) -> bool:
        """Whether somebody trusted has signed the artifact as it is recorded; reads no weights.

        Raises RefusedError when nobody has and somebody must, IntegrityError for a signature of theirs that is broken.
        """
        found = check(self.store, artifact, self.trust)
        if any(one.holds for one in found):
            return True
        if broken := [one for one in found if one.is_trusted]:
            raise IntegrityError(
                f"{artifact.id} is not what was signed",
                why=_listed(broken),
                next_step=f"Run `freehold store remove {artifact.id} --yes`, and bring it in again.",
            )
        if self.required:
            raise RefusedError(
                f"{artifact.id} is not signed by anybody that `signatures` names",
                why=_listed(found) or "it has no signature",
                next_step=f"Sign it with `freehold store sign {artifact.id} --key FILE`, or name who signed it.",
            )
        return False

    def verify(self, artifact: Artifact) -> None:
        """The same, and every byte read again. Raises RefusedError, and IntegrityError naming the file."""
        if self.check(artifact):
            verify(self.store, artifact, self.trust)


def _listed(found: list[SignatureCheck]) -> str:
    return "; ".join(f"{one.signature.path.name}: {one.problem}" for one in found)
