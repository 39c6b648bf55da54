"""Lineage: what an artifact is, where it came from and what was done to it (`freehold.json`)."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from freehold.core.errors import IntegrityError
from freehold.core.store.digest import FileRecord, content_digest

LINEAGE_FILE = "freehold.json"
SCHEMA = 1


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRecord(_Record):
    """Where the bytes came from."""

    kind: str
    """Name of the source kind: `hub`, `path` or `package`."""
    location: str
    """Repository id, absolute path or distribution name."""
    revision: str = ""
    """What was asked for: a branch, a tag, a version."""
    commit: str = ""
    """What it resolved to, immutable: a commit, a version, a content digest."""
    files: tuple[FileRecord, ...] = ()
    """The files as fetched, before any import step."""

    @property
    def key(self) -> str:
        """Identity of what was fetched; two pulls with the same key give the same bytes."""
        return f"{self.kind}:{self.location}@{self.commit}"


class Step(_Record):
    """One transformation on the way from the source (or the parents) to this artifact."""

    name: str
    """For example `gguf-import`, `finetune`, `quantize`."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of the packages that did it."""


class TokenProbe(_Record):
    """Reference for one generated position of one fixed prompt."""

    token_id: int
    """The token that the reference continues with (greedy)."""
    top: dict[int, float]
    """Natural-log probabilities of the reference's most likely tokens, by token id."""


class PromptProbe(_Record):
    """A fixed prompt as the model sees it, and the reference continuation."""

    name: str
    messages: tuple[dict[str, str], ...] | None
    """Chat messages rendered through the artifact's chat template; None for a raw prompt."""
    prompt_token_ids: tuple[int, ...]
    """Token ids of the rendered prompt: a wrong template or tokenizer shows here first."""
    positions: tuple[TokenProbe, ...]


class ProbeReference(_Record):
    """Golden-probe reference computed by transformers in float32 when the artifact was made."""

    status: Literal["computed", "not-computed"]
    reason: str = ""
    """Why it is missing, when it is."""
    dtype: str = "float32"
    versions: dict[str, str] = Field(default_factory=dict)
    prompts: tuple[PromptProbe, ...] = ()


class EvaluationRecord(_Record):
    """What an evaluation of this artifact came to: one for each suite, the newest."""

    suite: str
    baseline: str
    """What it was compared with, for example `gpt-4o-mini`."""
    decision: Literal["replace", "replace for these slices", "hold"]
    slices: tuple[str, ...] = ()
    """For which slices, as `dimension=value`, where the decision is for some only."""
    reasons: tuple[str, ...] = ()
    """Sentences with their numbers, the one that decided first."""
    measurements: dict[str, Any] = Field(default_factory=dict)
    """Numbers behind it; names carry their unit."""
    fingerprint: str = ""
    """`system_fingerprint` of what answered: the artifact under its engine's options."""
    report_sha256: str = ""
    """Of the report's JSON, so that the page in hand can be told from another."""
    promoted_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    evaluated_at: datetime | None = None
    """When its run was begun, so that resuming does not make it younger; None where the run does not say."""


class Lineage(_Record):
    """Contents of `freehold.json`, the file that makes a folder an artifact."""

    schema_version: int = SCHEMA
    id: str
    name: str
    kind: Literal["model", "adapter"] = "model"
    digest: str
    """Content digest over `files`."""
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    source: SourceRecord | None = None
    parents: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    allowed: tuple[str, ...] = ()
    """Unsafe things allowed by name when it was made: `pickle`, `remote-code`."""
    license: str = ""
    files: tuple[FileRecord, ...]
    probe: ProbeReference = ProbeReference(status="not-computed", reason="never asked for")
    evaluations: tuple[EvaluationRecord, ...] = ()
    """Why it was promoted."""

    def evaluation(self, suite: str) -> EvaluationRecord | None:
        """The newest of this suite."""
        return next((one for one in self.evaluations if one.suite == suite), None)

    @property
    def size_bytes(self) -> int:
        return sum(record.size_bytes for record in self.files)


def artifact_id(name: str, files: tuple[FileRecord, ...]) -> str:
    """`<name>-<first 12 hex digits of the content digest>`."""
    return f"{name}-{content_digest(files)[:12]}"


def read_lineage(folder: Path) -> Lineage:
    """The lineage beside an artifact's files. Raises IntegrityError if it is unreadable."""
    path = folder / LINEAGE_FILE
    try:
        return Lineage.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise IntegrityError(
            f"{path} is not a lineage that this version reads",
            why=str(error).splitlines()[0],
            next_step=f"Remove the folder {folder} and pull the model again.",
        ) from error
