"""What a policy judges: an artifact, or one that is about to be pulled, with everything that it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from freehold.core.gates.verdict import GateName
from freehold.core.manifest import ModelManifest
from freehold.core.signing import Signature
from freehold.core.store.digest import FileRecord
from freehold.core.store.lineage import EvaluationRecord

Format = Literal["safetensors", "gguf", "pickle", "other", "code"]
"""Of weights; `code` is Python that the repository brings, and that loading the model runs."""

BROUGHT = "model.sig"
"""Where a publisher puts the signature of a whole repository, by model signing's own default."""


@dataclass(frozen=True)
class GateState:
    """A gate that the making of an artifact calls for."""

    gate: GateName
    problem: str
    """Why it has not passed; empty if it has."""


@dataclass(frozen=True)
class Link:
    """One artifact of the chain that leads to the source, or the source itself before it is pulled."""

    name: str
    """Artifact id, or `hub:owner/name` of what is not here yet."""
    source: str = ""
    """`kind:location`; empty for what was made from others."""
    commit: str = ""
    licenses: tuple[str, ...] = ()
    """Everything that says what its licence is, as `freehold.core.policy.spdx` writes it. Each must be allowed."""
    manifest: ModelManifest | None = None
    """The catalogue's page of its source."""
    formats: frozenset[Format] = frozenset()
    gates: tuple[GateState, ...] = ()
    parents: tuple[str, ...] = ()
    is_missing: bool = False
    """A parent that the store does not hold: nothing is known of it."""
    folder: Path | None = None
    """Where its files are, once it is here."""
    files: tuple[FileRecord, ...] = ()
    is_loaded: bool = False
    """Whether an engine loads it: the artifact itself, and the base of an adapter."""
    signatures: tuple[Signature, ...] = ()
    """Unchecked: whom to believe is for a rule to say."""
    unreadable: tuple[str, ...] = ()
    """What is wrong with files that should be signatures."""


@dataclass(frozen=True)
class Facts:
    """Everything that rules look at."""

    chain: tuple[Link, ...]
    """The artifact itself, then its parents, theirs, and so on, each once."""
    evaluations: tuple[EvaluationRecord, ...] = ()
    requires: tuple[str, ...] = ()
    """Suites that the deployment asks for, beside those of the policy."""
    is_probed: bool | None = None
    """Whether its engine is proven by the golden probe; None where no engine is meant."""
    license_is_open: bool = False
    """Before a pull: the file that is to be fetched may say its licence."""
    commercial_use: Mapping[str, str] = field(default_factory=dict)
    """What the catalogue says of licences, by their identifier in lower case: `yes`, `conditions`, `no`."""

    @property
    def itself(self) -> Link:
        return self.chain[0]
