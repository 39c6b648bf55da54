"""What the compliance page says, as data; `freehold audit --format json` is this, field by field."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

Kind = Literal["model", "adapter", "remote"]
FileState = Literal["verified", "present", "damaged"]
"""`verified`: every byte was read; `present`: every file is there in its recorded size."""
LockState = Literal["as locked", "differs", "not locked"]


@dataclass(frozen=True)
class License:
    """What is known of the licence of one artifact."""

    names: tuple[str, ...]
    """SPDX identifiers or `LicenseRef-…`; two where source and catalogue contradict each other, none if unknown."""
    commercial_use: str = ""
    """`yes`, `conditions` or `no`, as the catalogue has it; empty if it does not say."""
    obligations: tuple[str, ...] = ()
    url: str = ""
    """Where the publisher says so."""


@dataclass(frozen=True)
class Change:
    """One step of an artifact's making."""

    name: str
    parameters: dict[str, Any]
    """Settings, recipes included, and what was measured."""
    datasets: dict[str, str]
    """Digests of the data, by what it was for."""
    versions: dict[str, str]
    """Of the packages that did it."""


@dataclass(frozen=True)
class Ancestor:
    """One artifact of the chain that leads to the source; the first is what is served."""

    id: str
    kind: str = ""
    created_at: datetime | None = None
    source: str = ""
    """`kind:location`; empty for what was made from others."""
    revision: str = ""
    """What was asked for."""
    commit: str = ""
    """What it resolved to."""
    parents: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    manifest: str = ""
    """Id of the catalogue's page of its source."""
    publisher: str = ""
    license: License = License(())
    lock: LockState | None = None
    """Of what came from a source: whether it is what the lock says."""
    problem: str = ""
    """Why nothing more is known of it."""


@dataclass(frozen=True)
class Files:
    """The artifact's files, held against its lineage."""

    count: int
    size_bytes: int
    digest: str
    """Hex SHA-256 over paths, sizes and digests."""
    state: FileState
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gate:
    """What a gate found out about one artifact of the chain."""

    gate: str
    artifact: str
    passed: bool | None
    """None: it was never judged."""
    judged_at: datetime | None
    reasons: tuple[str, ...]
    measurements: dict[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """A suite that the artifact was promoted with."""

    suite: str
    baseline: str
    decision: str
    slices: tuple[str, ...]
    evaluated_at: datetime | None
    promoted_at: datetime
    reasons: tuple[str, ...]
    measurements: dict[str, Any]
    report_sha256: str


@dataclass(frozen=True)
class Signed:
    """A signature of what is loaded."""

    artifact: str
    signer: str
    state: str
    """`trusted`, or why it is not; `not checked` where no policy says whom to trust."""


@dataclass(frozen=True)
class Artifact:
    """Everything about one artifact that is served."""

    id: str
    name: str
    created_at: datetime
    quantization: str
    unsafe: tuple[str, ...]
    """What was allowed by name when it was made: `pickle`, `remote-code`."""
    files: Files
    chain: tuple[Ancestor, ...]
    gates: tuple[Gate, ...]
    evaluations: tuple[Evaluation, ...]
    signatures: tuple[Signed, ...]


@dataclass(frozen=True)
class RuleResult:
    """What one rule of one policy says of it."""

    policy: str
    rule: str
    result: Literal["kept", "broken"]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Served:
    """One name that clients may send, and what answers."""

    name: str
    kind: Kind
    model: str
    """The model that an adapter is loaded into; else its own name."""
    engine: str
    """How it is run, in words."""
    is_probed: bool | None
    """Whether the golden probe proves it when it starts; None where its engine is not ours."""
    accepted: tuple[str, ...]
    """Gates that the deployment waives."""
    requires: tuple[str, ...]
    """Suites that the deployment asks for."""
    artifact: Artifact | None
    rules: tuple[RuleResult, ...]
    running: str = ""
    """The artifact that the gateway says answers; empty where no gateway was asked."""
    problems: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """In two words: what the policies say of it."""
        if any(rule.result == "broken" for rule in self.rules):
            return "forbidden"
        if self.artifact is None:
            return "not known"
        return "allowed" if self.rules else "no policy"


@dataclass(frozen=True)
class Exit:
    """An endpoint that others run, to which requests may go."""

    name: str
    address: str
    api: str
    leaves: bool
    """Whether a request leaves the house with it, as the config says."""
    routes: tuple[str, ...]
    """Names under which clients may reach it."""


@dataclass(frozen=True)
class LeavingKey:
    """A key whose requests may leave."""

    id: str
    name: str
    team: str
    owner: str
    scope: str
    """What it may name, in words."""


@dataclass(frozen=True)
class Recorded:
    """A route whose prompts and answers are kept."""

    route: str
    percent: float
    redacted: bool
    retention_days: int


@dataclass(frozen=True)
class Egress:
    """What may leave, and what is kept."""

    exits: tuple[Exit, ...]
    asks_for_keys: bool
    keys: tuple[LeavingKey, ...] | None
    """None where they could not be read."""
    keys_problem: str
    media_domains: tuple[str, ...]
    """Hosts that the gateway fetches files from."""
    recordings: tuple[Recorded, ...]


@dataclass(frozen=True)
class Report:
    """The whole page."""

    made_at: datetime
    freehold: str
    """Version of the toolkit."""
    deployment: str
    gateway: str
    """URL of the gateway that was asked; empty if none was."""
    policies: tuple[str, ...]
    lock: str
    served: tuple[Served, ...]
    egress: Egress | None
    """None where there is no config to read."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing is forbidden, damaged, missing or different from what was locked."""
        return not any(one.problems or one.verdict == "forbidden" for one in self.served)


def as_document(report: Report) -> dict[str, Any]:
    """For JSON: every field, times as ISO 8601, and beside them what follows from the fields."""
    document: dict[str, Any] = _plain(asdict(report))
    for shown, one in zip(document["served"], report.served, strict=True):
        shown["verdict"] = one.verdict
    return document | {"is_clean": report.is_clean}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
