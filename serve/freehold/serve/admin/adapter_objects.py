"""Adapters as JSON: what the administrators' API and `--format json` show."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from freehold.serve.adapters.desk import AdapterView
from freehold.serve.adapters.status import AdapterPhase
from freehold.serve.config.base import NAME
from freehold.serve.state.adapters import AdapterReport


class NewAdapter(BaseModel):
    """An adapter to be loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Annotated[str, Field(pattern=NAME)]
    """What clients will send as "model". One that this model has already is given the new artifact."""
    artifact: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
    """Artifact id of the adapter, or its name in the store."""
    accept: tuple[Literal["parity"], ...] = ()
    """Gates that it need not have passed."""


class ReplicaState(BaseModel):
    """How an adapter stands on one replica."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    replica: str
    state: AdapterPhase
    detail: str
    """Why it failed, or what is waited for."""
    wanted: str
    """The artifact that the replica was told to have answer; after a change it learns of that within a second."""
    serving: str | None
    """The artifact that answers now: while another is loaded, or after that failed, the one before it."""
    system_fingerprint: str | None
    """Of its answers, in the header x-freehold-fingerprint."""


class ShownAdapter(BaseModel):
    """An adapter, and how it stands."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["adapter"] = "adapter"
    name: str
    model: str
    artifact: str
    accept: list[str]
    configured: bool
    """Named in the config, so that only a change of that unloads it."""
    created_at: int | None
    state: AdapterPhase
    """`ready` where every replica is, `failed` where one has, else `loading` or `unloading`."""
    detail: str
    """Why it failed, if it did."""
    replicas: list[ReplicaState]


class AdapterList(BaseModel):
    """The adapters of a model, by name."""

    object: Literal["list"] = "list"
    data: list[ShownAdapter]


def shown(view: AdapterView) -> ShownAdapter:
    """The adapter as it stands."""
    return ShownAdapter(
        name=view.name,
        model=view.model,
        artifact=view.artifact,
        accept=list(view.accept),
        configured=view.is_configured,
        created_at=None if view.created_at is None else int(view.created_at),
        state=view.phase,
        detail=view.detail,
        replicas=[_replica(report) for report in view.reports],
    )


def _replica(report: AdapterReport) -> ReplicaState:
    return ReplicaState(
        replica=report.replica,
        state=AdapterPhase(report.phase),
        detail=report.detail,
        wanted=report.wanted,
        serving=report.serving or None,
        system_fingerprint=report.fingerprint or None,
    )
