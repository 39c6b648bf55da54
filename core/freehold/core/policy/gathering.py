"""Gathers what policies judge: of an artifact in the store, and of one that is about to be pulled."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from freehold.core.errors import IntegrityError
from freehold.core.gates import gates_of, read_verdict
from freehold.core.hub.selection import CODE, OTHER_FORMATS, PICKLED
from freehold.core.hub.snapshot import Snapshot
from freehold.core.manifest import Catalogue, ModelManifest
from freehold.core.manifest.kinship import manifest_at
from freehold.core.policy.facts import BROUGHT, Facts, Format, GateState, Link
from freehold.core.policy.spdx import canonical, is_own
from freehold.core.signing import read_signature, signatures
from freehold.core.store import Artifact, FileRecord, Lineage, Store

_BY_SUFFIX: dict[str, Format] = {
    ".safetensors": "safetensors",
    ".gguf": "gguf",
    **dict.fromkeys(PICKLED, "pickle"),
    **dict.fromkeys(OTHER_FORMATS, "other"),
    **dict.fromkeys(CODE, "code"),
}


def facts_of(
    artifact: Artifact,
    store: Store,
    catalogue: Catalogue,
    *,
    base: Artifact | None = None,
    requires: tuple[str, ...] = (),
    is_probed: bool | None = None,
) -> Facts:
    """Of an artifact and everything that it was made from.

    `base` is the model that an adapter is loaded into: it counts, whatever the adapter's lineage says.
    """
    return Facts(
        tuple(_chain(artifact, store, catalogue, base)),
        evaluations=artifact.lineage.evaluations,
        requires=requires,
        is_probed=is_probed,
        commercial_use=commercial_uses(catalogue),
    )


def facts_of_lineage(lineage: Lineage, folder: Path | None, catalogue: Catalogue) -> Facts:
    """Of what was fetched to a folder, before it enters the store; its parents are judged by themselves.

    Without a folder the signatures that it brings are not looked at: what carries it was signed as a whole.
    """
    if folder is None:
        return Facts((_link(lineage, catalogue),), commercial_use=commercial_uses(catalogue))
    link = replace(_link(lineage, catalogue), is_loaded=True, folder=folder, **_brought(lineage, folder))
    return Facts((link,), commercial_use=commercial_uses(catalogue))


def facts_before_pull(snapshot: Snapshot, paths: Iterable[str], catalogue: Catalogue) -> Facts:
    """Of what a source offers: the files that would be fetched, and the licence that it names."""
    source = f"{snapshot.kind}:{snapshot.location}"
    manifest = manifest_at(snapshot.kind, snapshot.location, catalogue)
    formats = formats_of(paths)
    link = Link(
        source,
        source=source,
        commit=snapshot.commit,
        licenses=_licenses(snapshot.license, manifest),
        manifest=manifest,
        formats=formats,
        files=tuple(FileRecord(path=path, size_bytes=0, sha256="0" * 64) for path in paths),
        is_loaded=True,
    )
    # A GGUF file says its licence in its own header.
    return Facts((link,), license_is_open="gguf" in formats, commercial_use=commercial_uses(catalogue))


def formats_of(paths: Iterable[str]) -> frozenset[Format]:
    """Formats of weights, and code, among files; configs and tokenizers are none."""
    suffixes = {PurePosixPath(path).suffix.lower() for path in paths}
    return frozenset(_BY_SUFFIX[suffix] for suffix in suffixes & _BY_SUFFIX.keys())


def commercial_uses(catalogue: Catalogue) -> dict[str, str]:
    """What the catalogue says of each licence, by its identifier in lower case, where all of its pages agree."""
    said: dict[str, set[str]] = {}
    for manifest in catalogue:
        said.setdefault(manifest.license.spdx.lower(), set()).add(manifest.license.commercial_use or "")
    return {name: next(iter(words)) for name, words in said.items() if len(words) == 1 and "" not in words}


def _chain(artifact: Artifact, store: Store, catalogue: Catalogue, base: Artifact | None) -> Iterator[Link]:
    seen: set[str] = set()
    waiting: list[Artifact | Link] = [artifact]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, Link):
            yield one
            continue
        if one.id in seen:
            continue
        seen.add(one.id)
        is_loaded = one is artifact or one is base
        signed: dict[str, Any] = _signed(one, store) if is_loaded else {}
        yield replace(_link(one.lineage, catalogue, one, store), is_loaded=is_loaded, **signed)
        stands_for = base if one is artifact else None
        if stands_for is not None:
            waiting.append(stands_for)
        else:
            waiting += [found or Link(name, is_missing=True) for name, found in _parents(one, store)]


def _parents(artifact: Artifact, store: Store) -> Iterator[tuple[str, Artifact | None]]:
    """By id; or by content, which a second pull under another name shares."""
    digests = {str(step.parameters.get("base_digest")) for step in artifact.lineage.steps}
    everything = {each.id: each for each in store.artifacts()} if artifact.lineage.parents else {}
    for name in artifact.lineage.parents:
        alike = (each for each in everything.values() if each.lineage.digest in digests)
        yield name, everything.get(name) or next(alike, None)


def _link(lineage: Lineage, catalogue: Catalogue, artifact: Artifact | None = None, store: Store | None = None) -> Link:
    source = lineage.source
    manifest = manifest_at(source.kind, source.location, catalogue) if source else None
    fetched = source.files if source else ()
    formats = formats_of(record.path for record in (*lineage.files, *fetched))
    return Link(
        lineage.id,
        source=f"{source.kind}:{source.location}" if source else "",
        commit=source.commit if source else "",
        licenses=_licenses(lineage.license, manifest),
        manifest=manifest,
        formats=formats,
        gates=tuple(_gates(artifact, store)) if artifact and store else (),
        parents=lineage.parents,
        folder=artifact.path if artifact else None,
        files=lineage.files,
    )


def _signed(artifact: Artifact, store: Store) -> dict[str, Any]:
    """`signatures` and `unreadable` of a link: those beside the artifact, and what its publisher brought."""
    found = _brought(artifact.lineage, artifact.path)
    try:
        return found | {"signatures": (*found["signatures"], *signatures(store, artifact))}
    except IntegrityError as error:
        return found | {"unreadable": (*found["unreadable"], str(error))}


def _brought(lineage: Lineage, folder: Path) -> dict[str, Any]:
    if all(record.path != BROUGHT for record in lineage.files):
        return {"signatures": (), "unreadable": ()}
    try:
        return {"signatures": (read_signature(folder / BROUGHT),), "unreadable": ()}
    except IntegrityError as error:
        return {"signatures": (), "unreadable": (str(error),)}


def _licenses(said: str, manifest: ModelManifest | None) -> tuple[str, ...]:
    """What the source says and what the catalogue says: one name, or two where they contradict each other.

    A hub has its own name for a publisher's own licence, so there the catalogue's counts.
    """
    theirs, ours = canonical(said), canonical(manifest.license.spdx) if manifest else ""
    if not ours or not theirs or theirs.lower() == ours.lower() or (is_own(ours) and is_own(theirs)):
        return tuple(name for name in (ours or theirs,) if name)
    return ours, theirs


def _gates(artifact: Artifact, store: Store) -> Iterator[GateState]:
    for gate in gates_of(artifact):
        verdict = read_verdict(store, artifact, gate)
        reasons = "" if verdict is None or verdict.passed else "; ".join(verdict.reasons) or "it was refused"
        yield GateState(gate, "it was never judged" if verdict is None else reasons)
