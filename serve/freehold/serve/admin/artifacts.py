"""The store over HTTP: artifacts, and how each came to be served."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict

from freehold.core.errors import NotFoundError
from freehold.core.gates import GateName, read_verdict
from freehold.core.manifest import ModelManifest
from freehold.core.store import Artifact
from freehold.serve.admin.access import require_role
from freehold.serve.admin.report_headers import REPORT_HEADERS
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.library.library import Kinship, Library, kinship
from freehold.serve.library.lineage import GATES, Graph, Serving, lineage_of, report_of

MAX_PAGE = 1000


class ShownArtifact(BaseModel):
    """An artifact of the store. Times are epoch seconds."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["artifact"] = "artifact"
    id: str
    name: str
    kind: Literal["model", "adapter"]
    created_at: int
    size_bytes: int
    license: str
    parents: list[str]
    steps: list[str]
    """What was done, in order."""
    model: str | None
    """The model of the catalogue that it is, or was made from."""
    takes: list[str] | None
    """What that model takes: text, image, audio, video; null where the catalogue does not know it."""
    capabilities: list[str] | None
    evaluations: dict[str, str]
    """Decisions by the suite that it was promoted with."""
    served_as: list[str]
    """Names of the engines here that serve it."""


class ArtifactDetail(ShownArtifact):
    """The same with its verdicts and what was made of it."""

    gates: dict[str, bool]
    """Whether it passed, by gate; those that were never asked are left out."""
    children: list[str]


class ArtifactList(BaseModel):
    """One page of artifacts, newest first; the next one follows `last_id`."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["list"] = "list"
    data: list[ShownArtifact]
    first_id: str | None
    last_id: str | None
    has_more: bool
    problems: list[str]
    """Artifacts whose lineage cannot be read, and why."""


class LineageNode(BaseModel):
    """A place on the way from a source to what serves the artifact."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    kind: Literal["source", "step", "artifact", "gate", "evaluation", "served", "missing"]
    title: str
    text: str
    state: Literal["", "passed", "failed", "not judged", "gone", "ready", "not ready"]
    artifact: str
    evidence: dict[str, Any]
    """What there is to know of it: a gate's numbers and limits, an evaluation's, the files of a source."""
    report: str
    """The gate whose report there is: `/admin/v1/artifacts/{artifact}/gates/{report}`."""


class LineageEdge(BaseModel):
    """What led to what."""

    before: str
    after: str


class ShownLineage(BaseModel):
    """The graph of an artifact; every node comes after those that lead to it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["lineage"] = "lineage"
    artifact: str
    nodes: list[LineageNode]
    edges: list[LineageEdge]


def artifacts_router(library: Library, keyring: KeyRing) -> APIRouter:
    """`/admin/v1/artifacts`; whoever mounts it lets viewers in. What models said, in reports, operators alone read.

    Errors are raised as `FreeholdError`.
    """
    router = APIRouter(prefix="/admin/v1/artifacts", tags=["artifacts"])
    operator = Depends(require_role(keyring, "operator"))

    # Plain functions: the store is read on a thread.
    @router.get("")
    def list_artifacts(
        kind: Literal["model", "adapter"] | None = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
        after: Annotated[str | None, Query(description="Id of the last artifact of the page before.")] = None,
    ) -> ArtifactList:
        everything, problems = library.index.look()
        known, serving = kinship(everything, library.shelf.catalogue()[0]), library.serving()
        newest = [each for each in reversed(everything) if kind in (None, each.lineage.kind)]
        ids = [each.id for each in newest]
        start = ids.index(after) + 1 if after in ids else 0
        page = newest[start : start + limit]
        data = [ShownArtifact(**_fields(each, known, serving)) for each in page]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        more = len(newest) > start + limit
        return ArtifactList(data=data, first_id=first, last_id=last, has_more=more, problems=problems)

    @router.get("/{artifact_id}")
    def show_artifact(artifact_id: str) -> ArtifactDetail:
        artifact, everything = library.index.get(artifact_id), library.index.artifacts()
        known = kinship(everything, library.shelf.catalogue()[0])
        verdicts = {gate: read_verdict(library.store, artifact, gate) for gate in GATES}
        return ArtifactDetail(
            **_fields(artifact, known, library.serving()),
            gates={gate: verdict.passed for gate, verdict in verdicts.items() if verdict is not None},
            children=[each.id for each in everything if artifact_id in each.lineage.parents],
        )

    @router.get("/{artifact_id}/lineage")
    def show_lineage(artifact_id: str) -> ShownLineage:
        artifact, everything = library.index.get(artifact_id), library.index.artifacts()
        return _graph(artifact_id, lineage_of(artifact, everything, library.store, library.serving()))

    @router.get("/{artifact_id}/gates/{gate}", response_class=HTMLResponse, dependencies=[operator])
    def show_gate_report(artifact_id: str, gate: GateName) -> HTMLResponse:
        path = report_of(library.store, library.index.get(artifact_id).id, gate)
        if not path.is_file():
            raise NotFoundError(
                f"The {gate} gate left no report of {artifact_id}", next_step="Its numbers are in the lineage."
            )
        return HTMLResponse(path.read_bytes(), headers=REPORT_HEADERS)

    return router


def _fields(artifact: Artifact, known: Kinship, serving: list[Serving]) -> dict[str, Any]:
    lineage = artifact.lineage
    manifest: ModelManifest | None = known.by_artifact.get(artifact.id)
    return {
        "id": artifact.id,
        "name": artifact.name,
        "kind": lineage.kind,
        "created_at": int(lineage.created_at.timestamp()),
        "size_bytes": artifact.size_bytes,
        "license": lineage.license,
        "parents": list(lineage.parents),
        "steps": [step.name for step in lineage.steps],
        "model": manifest.id if manifest else None,
        "takes": list(manifest.modalities.takes) if manifest else None,
        "capabilities": list(manifest.capabilities) if manifest else None,
        "evaluations": {one.suite: one.decision for one in lineage.evaluations},
        "served_as": [each.name for each in serving if each.artifact == artifact.id],
    }


def _graph(artifact_id: str, graph: Graph) -> ShownLineage:
    return ShownLineage(
        artifact=artifact_id,
        nodes=[LineageNode(**vars(node)) for node in graph.nodes.values()],
        edges=[LineageEdge(before=before, after=after) for before, after in graph.edges],
    )
