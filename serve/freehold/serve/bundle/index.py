"""`bundle.json`: what is in a bundle, every member with size and SHA-256; the first member, and what is signed."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from freehold.core.errors import IntegrityError, UserError
from freehold.core.store import FileRecord
from freehold.serve.config.base import problem_of

INDEX = "bundle.json"
SIGNATURE = "bundle.sig.json"
"""The second member of a signed bundle."""
CONFIG = "freehold.yaml"
LOCK = "freehold.lock"
SBOM = "sbom.cdx.json"
IMAGES = "images.json"
STORE = "store"
"""Below it members lie as they do in a store."""
WHEELS = "wheels"
FORMAT = 1
LIMIT_BYTES = 256 << 20
"""No index is larger."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""What a bundle may be called: it names a folder."""


def _is_below(path: str) -> str:
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in path or "\0" in path:
        raise ValueError(f"{path!r} leads out of the bundle")
    return path


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Member(FileRecord):
    """One file of the bundle."""

    path: Annotated[str, AfterValidator(_is_below)]


class BundledArtifact(_Part):
    """A model or an adapter."""

    id: Annotated[str, AfterValidator(_is_below), Field(pattern=r"^[^/]+$")]
    name: str
    kind: Literal["model", "adapter"]
    license: str
    size_bytes: int
    references: tuple[str, ...]
    """As the config names it."""

    @property
    def folder(self) -> str:
        return f"{STORE}/artifacts/{self.id}/"


class WheelSet(_Part):
    """Wheels of one environment."""

    variant: str
    """`cpu` or `cuda`; `given` for those of a folder that was handed over."""
    python: str
    platform: str
    requirements: str
    """The member that pins each of them by its digest."""
    count: int


class BundledImage(_Part):
    """A container image that the chart runs."""

    reference: str
    digest: str
    """`sha256:…`; empty where nothing at hand could ask the registry."""
    used_by: str
    archive: str = ""
    """The member that holds it as an OCI archive; empty where it is to be copied by other means."""


class BundledChart(_Part):
    """The Helm chart."""

    path: str
    packaged_by: str
    """`helm <version>`, or `freehold`: the same files in the same layout, but not linted."""


class BundleIndex(_Part):
    """The whole of `bundle.json`."""

    format: Literal[1] = 1
    name: str = Field(pattern=NAME)
    created_at: datetime
    """In whole seconds; a bundle with a later one is newer."""
    toolkit: str
    """Version of Freehold that made it."""
    is_signed: bool
    artifacts: tuple[BundledArtifact, ...]
    wheels: tuple[WheelSet, ...] = ()
    chart: BundledChart | None = None
    images: tuple[BundledImage, ...] = ()
    members: tuple[Member, ...]
    """In the order of the archive, all but the index itself and its signature."""

    @model_validator(mode="after")
    def _paths_are_unique(self) -> "BundleIndex":
        paths = [INDEX, SIGNATURE, *(member.path for member in self.members)]
        if len(set(paths)) != len(paths):
            raise ValueError("two members have the same path")
        return self

    @property
    def modified_at(self) -> int:
        """Seconds since the epoch that every member's header carries."""
        return int(self.created_at.timestamp())

    @property
    def size_bytes(self) -> int:
        return sum(member.size_bytes for member in self.members)

    def of(self, artifact: BundledArtifact) -> tuple[Member, ...]:
        """The files of an artifact, its lineage among them."""
        return tuple(member for member in self.members if member.path.startswith(artifact.folder))


def read_index(data: bytes) -> BundleIndex:
    """Raises UserError for a bundle of a later format, IntegrityError for what is no index."""
    try:
        head = _Head.model_validate_json(data)
        if head.format > FORMAT:
            raise UserError(
                f"The bundle has format {head.format}",
                why=f"this version reads up to {FORMAT}",
                next_step="Install the toolkit that came with it first (docs/air-gap.md).",
            )
        return BundleIndex.model_validate_json(data)
    except ValidationError as error:
        raise IntegrityError(f"{INDEX} is not a bundle's index", why=problem_of(error.errors()[0])) from error


class _Head(BaseModel):
    format: int
