"""How an artifact came to be, as a graph from where its bytes came from to what serves it, with the evidence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from freehold.core.gates import GateName, Verdict, read_verdict
from freehold.core.store import Artifact, EvaluationRecord, SourceRecord, Step, Store

Kind = Literal["source", "step", "artifact", "gate", "evaluation", "served", "missing"]
State = Literal["", "passed", "failed", "not judged", "gone", "ready", "not ready"]

GATES: tuple[GateName, ...] = ("parity", "quality")
REQUIRED: Mapping[str, GateName] = {"finetune": "parity", "merge": "parity", "quantize": "quality"}
"""The gate that an artifact of this step has to pass."""


@dataclass(frozen=True)
class Node:
    """One place on the way."""

    id: str
    kind: Kind
    title: str
    text: str = ""
    """One line about it."""
    state: State = ""
    artifact: str = ""
    """Which artifact it is, or is about."""
    evidence: dict[str, Any] = field(default_factory=dict)
    """What there is to know of it, in plain values."""
    report: str = ""
    """The gate whose report there is."""


@dataclass
class Graph:
    """Nodes, and between which of them something went on."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def add(self, node: Node, *after: str) -> str:
        """Put it behind others; its id."""
        self.nodes[node.id] = node
        self.edges += [(each, node.id) for each in after]
        return node.id


@dataclass(frozen=True)
class Serving:
    """An engine that serves an artifact."""

    name: str
    artifact: str
    is_ready: bool
    detail: str
    fingerprint: str


def report_of(store: Store, artifact_id: str, gate: GateName) -> Path:
    """The page that a gate may leave beside its verdict."""
    return store.verdict_folder(artifact_id) / f"{gate}.html"


def lineage_of(artifact: Artifact, artifacts: Sequence[Artifact], store: Store, serving: Sequence[Serving]) -> Graph:
    """The graph of one artifact and of all that it was made from. Raises IntegrityError for an unreadable verdict."""
    graph = Graph()
    known = {each.id: each for each in artifacts}
    _grow(graph, artifact.id, known, store, serving)
    return graph


def _grow(graph: Graph, artifact_id: str, known: Mapping[str, Artifact], store: Store, all_: Sequence[Serving]) -> str:
    """Put an artifact and what is before it into the graph; the node that its children follow."""
    own = f"artifact:{artifact_id}"
    artifact = known.get(artifact_id)
    if artifact is None:
        why = "It is not in this store any more."
        return graph.add(Node(own, "missing", artifact_id, why, "gone", artifact_id)) if own not in graph.nodes else own
    if own in graph.nodes:
        return _last_of(graph, artifact_id)
    lineage = artifact.lineage
    before = [_grow(graph, parent, known, store, all_) for parent in lineage.parents]
    if lineage.source:
        before.append(graph.add(_source(artifact_id, lineage.source)))
    for number, step in enumerate(lineage.steps):
        before = [graph.add(_step(artifact_id, number, step), *before)]
    last = graph.add(_artifact(artifact), *before)
    for proof in (*_gates(artifact, store), *(_evaluation(artifact_id, one) for one in lineage.evaluations)):
        last = graph.add(proof, last)
    for engine in all_:
        if engine.artifact == artifact_id:
            graph.add(_served(engine), last)
    return last


def _last_of(graph: Graph, artifact_id: str) -> str:
    return [id_ for id_, node in graph.nodes.items() if node.artifact == artifact_id and node.kind != "served"][-1]


def _source(artifact_id: str, source: SourceRecord) -> Node:
    evidence = {
        "place": f"{source.kind}: {source.location}",
        "asked for": source.revision,
        "commit": source.commit,
        "files": {record.path: record.sha256 for record in source.files},
    }
    return Node(f"source:{artifact_id}", "source", source.location, source.kind, "", artifact_id, evidence)


def _step(artifact_id: str, number: int, step: Step) -> Node:
    evidence = {"parameters": step.parameters, "versions": step.versions}
    return Node(f"step:{artifact_id}:{number}", "step", step.name, "", "", artifact_id, evidence)


def _artifact(artifact: Artifact) -> Node:
    lineage = artifact.lineage
    evidence = {
        "kind": lineage.kind,
        "digest": lineage.digest,
        "made": lineage.created_at.isoformat(timespec="seconds"),
        "bytes": artifact.size_bytes,
        "licence": lineage.license,
        "allowed by name": list(lineage.allowed),
        "golden probe": lineage.probe.status + (f": {lineage.probe.reason}" if lineage.probe.reason else ""),
        "files": {record.path: record.sha256 for record in lineage.files},
    }
    return Node(f"artifact:{artifact.id}", "artifact", artifact.id, lineage.kind, "", artifact.id, evidence)


def _gates(artifact: Artifact, store: Store) -> Iterator[Node]:
    steps = artifact.lineage.steps
    required = REQUIRED.get(steps[-1].name) if steps else None
    for gate in GATES:
        verdict = read_verdict(store, artifact, gate)
        if verdict is not None:
            yield _verdict(verdict, gate if report_of(store, artifact.id, gate).is_file() else "")
        elif gate == required:
            text = f"Run `freehold {gate} {artifact.id}`."
            yield Node(f"gate:{artifact.id}:{gate}", "gate", f"{gate} gate", text, "not judged", artifact.id)


def _verdict(verdict: Verdict, report: str) -> Node:
    evidence = {
        "reasons": list(verdict.reasons),
        "measurements": verdict.measurements,
        "limits": verdict.limits,
        "versions": verdict.versions,
        "judged": verdict.judged_at.isoformat(timespec="seconds"),
    }
    name = f"gate:{verdict.artifact}:{verdict.gate}"
    text = verdict.reasons[0] if verdict.reasons else "within its limits"
    state: State = "passed" if verdict.passed else "failed"
    return Node(name, "gate", f"{verdict.gate} gate", text, state, verdict.artifact, evidence, report)


def _evaluation(artifact_id: str, one: EvaluationRecord) -> Node:
    evidence = {
        "decision": one.decision,
        "slices": list(one.slices),
        "reasons": list(one.reasons),
        "measurements": one.measurements,
        "fingerprint": one.fingerprint,
        "report's SHA-256": one.report_sha256,
        "promoted": one.promoted_at.isoformat(timespec="seconds"),
    }
    text = f"{one.decision}: against {one.baseline}"
    name = f"evaluation:{artifact_id}:{one.suite}"
    return Node(name, "evaluation", f"suite {one.suite}", text, "passed", artifact_id, evidence)


def _served(engine: Serving) -> Node:
    evidence = {"fingerprint": engine.fingerprint, "detail": engine.detail}
    state: State = "ready" if engine.is_ready else "not ready"
    text = engine.detail or "takes requests"
    return Node(f"served:{engine.name}", "served", engine.name, text, state, engine.artifact, evidence)
