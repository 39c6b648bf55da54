"""The schema of `manifests/models/<id>.yaml`."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from freehold.core.manifest.data import Data, Link, Source
from freehold.core.manifest.license import License
from freehold.core.manifest.origin import Origin
from freehold.core.manifest.serving import Engine

Role = Literal["general", "small", "coder", "reasoning", "vision", "audio", "embedding", "rerank"]
Medium = Literal["text", "image", "audio", "video"]
Capability = Literal["tools", "reasoning", "json", "vision", "audio", "video", "embeddings", "rerank"]
Precision = Literal["fp32", "bf16", "fp16", "fp8", "int8", "int4", "nvfp4", "mxfp4", "mixed"]


class Modalities(Data):
    """What goes in and what comes out."""

    takes: tuple[Medium, ...]
    gives: tuple[Literal["text", "audio", "image", "embedding", "score"], ...]


class Variant(Data):
    """The same model at another precision, by its own publisher or another."""

    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    publisher: str
    precision: Precision
    format: str | None = None
    """Of the quantization, as `config.json` names it: `fp8`, `awq`, `gptq`, `compressed-tensors`, `modelopt`."""
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    source: Link


class Hardware(Data):
    """What the publisher, or the engine's own recipe, says it takes at least."""

    gpus: int = Field(gt=0)
    gpu: str
    """As the source calls it: `H100 80GB`."""
    precision: Precision
    source: Link


class Replaces(Data):
    """A closed model that it is a candidate for, since its publisher holds it against that; evaluation decides."""

    model: str
    """As the closed provider's API names it."""
    reason: str
    source: Link


class ModelManifest(Data):
    """Everything the toolkit knows about one model before it is pulled."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    title: str
    publisher: str
    description: str
    family: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    license: License
    source: Origin
    architecture: str | None = None
    """Class name in the model's `config.json`; left out where no page states it."""
    parameters_total: int = Field(gt=0)
    parameters_active: int | None = Field(default=None, gt=0)
    """For one token, where not all are."""
    context_tokens: int = Field(gt=0)
    """What it takes without settings beyond its own."""
    modalities: Modalities
    capabilities: tuple[Capability, ...] = ()
    engine: Engine = Engine()
    lora_targets: tuple[str, ...] = ()
    """Names of the decoder's linear layers that an adapter changes."""
    precision: Precision = "bf16"
    """Of the weights in `source`."""
    variants: tuple[Variant, ...] = ()
    hardware: tuple[Hardware, ...] = ()
    replaces: tuple[Replaces, ...] = ()
    config: dict[str, Any] | None = None
    """The publisher's `config.json`, less what neither size nor shape depends on."""
    notes: tuple[str, ...] = ()
    """What to know about these facts: where pages disagree, and what was read in a copy."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _sources_say_fields(self) -> "ModelManifest":
        fields = {str(field.alias) for field in type(self).model_fields.values()}
        said = [name for source in self.sources for name in source.says]
        if unknown := sorted({name for name in said if name.split(".")[0] not in fields}):
            raise ValueError(f"sources say {', '.join(unknown)}, and there are no such fields")
        return self
