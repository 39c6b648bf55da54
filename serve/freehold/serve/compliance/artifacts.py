"""One artifact as the page shows it: its chain, files, gates, evaluations and signatures."""

import json
from collections.abc import Iterator

from freehold.core.gates import read_verdict
from freehold.core.hub.lockfile import LockContent
from freehold.core.policy import Facts, Link, Policies
from freehold.core.policy.rules import SignatureRule
from freehold.core.progress import ByteBar
from freehold.core.store import Artifact, SourceRecord, Step, Store
from freehold.serve.compliance import document as page

_DATA = ("data_digests", "base_digest", "calibration")


def show_artifact(
    artifact: Artifact, facts: Facts, store: Store, policies: Policies, lock: LockContent, *, verify: bool
) -> page.Artifact:
    """Everything that is known of it here. With `verify` every file is read."""
    lineage = artifact.lineage
    return page.Artifact(
        id=artifact.id,
        name=artifact.name,
        created_at=lineage.created_at,
        quantization=quantization_of(artifact),
        unsafe=lineage.allowed,
        files=_files(artifact, store, verify=verify),
        chain=tuple(_ancestor(link, facts, store, lock) for link in facts.chain),
        gates=tuple(_gates(facts, store)),
        evaluations=tuple(
            page.Evaluation(
                suite=one.suite,
                baseline=one.baseline,
                decision=one.decision,
                slices=one.slices,
                evaluated_at=one.evaluated_at,
                promoted_at=one.promoted_at,
                reasons=one.reasons,
                measurements=one.measurements,
                report_sha256=one.report_sha256,
            )
            for one in lineage.evaluations
        ),
        signatures=tuple(_signatures(facts, policies)),
    )


def quantization_of(artifact: Artifact) -> str:
    """By the model's own config: its method, else the numbers that the weights are in."""
    try:
        config = json.loads((artifact.path / "config.json").read_bytes())
    except (OSError, ValueError):
        return "not known" if artifact.lineage.kind == "model" else ""
    if not isinstance(config, dict):
        return "not known"
    found = config.get("quantization_config")
    steps = artifact.lineage.steps
    numbers = str(config.get("dtype") or config.get("torch_dtype") or "not known")
    if not isinstance(found, dict):
        imported = next((str(step.parameters.get("file")) for step in steps if step.name == "gguf-import"), "")
        return f"none ({numbers})" + (f", imported from {imported}" if imported else "")
    ours = next((str(step.parameters.get("method")) for step in steps if step.name == "quantize"), "")
    method = str(found.get("quant_method", "not known"))
    return f"{ours} ({method})" if ours else method


def problems_of(shown: page.Artifact) -> Iterator[str]:
    """What an auditor has to know first."""
    yield from (f"file {problem}" for problem in shown.files.problems)
    for one in shown.chain:
        if one.problem:
            yield f"{one.id}: {one.problem}"
        if one.lock == "differs":
            yield f"{one.id}: its files are not those of the lock"


def _files(artifact: Artifact, store: Store, *, verify: bool) -> page.Files:
    if verify:
        with ByteBar(f"Verifying {artifact.id}", artifact.size_bytes) as bar:
            problems = tuple(f"{one.path}: {one.problem}" for one in store.verify(artifact, bar.advance))
    else:
        problems = tuple(_sizes(artifact))
    state: page.FileState = "damaged" if problems else "verified" if verify else "present"
    return page.Files(len(artifact.lineage.files), artifact.size_bytes, artifact.lineage.digest, state, problems)


def _sizes(artifact: Artifact) -> Iterator[str]:
    for record in artifact.lineage.files:
        path = artifact.path / record.path
        size = path.stat().st_size if path.is_file() else None
        if size != record.size_bytes:
            yield f"{record.path}: {'missing' if size is None else f'{size} bytes, recorded {record.size_bytes}'}"


def _ancestor(link: Link, facts: Facts, store: Store, lock: LockContent) -> page.Ancestor:
    found = None if link.is_missing else store.find(link.name)
    if found is None:
        return page.Ancestor(link.name, problem="not in the store, so nothing is known of it")
    lineage, source = found.lineage, found.lineage.source
    manifest = link.manifest
    inherited = {step.model_dump_json() for parent in lineage.parents for step in _steps(parent, store)}
    return page.Ancestor(
        id=found.id,
        kind=lineage.kind,
        created_at=lineage.created_at,
        source=link.source,
        revision=source.revision if source else "",
        commit=source.commit if source else "",
        parents=lineage.parents,
        changes=tuple(_change(step) for step in lineage.steps if step.model_dump_json() not in inherited),
        manifest=manifest.id if manifest else "",
        publisher=manifest.publisher if manifest else "",
        license=_license(link, facts),
        lock=_lock_state(source, lock) if source else None,
    )


def _license(link: Link, facts: Facts) -> page.License:
    """As the catalogue's page of its source has it; else what the catalogue says of a licence of this name."""
    said = {facts.commercial_use.get(name.lower(), "") for name in link.licenses}
    if link.manifest is None or len(link.licenses) > 1:
        return page.License(link.licenses, said.pop() if len(said) == 1 else "")
    ours = link.manifest.license
    return page.License(link.licenses, ours.commercial_use or "", ours.obligations, ours.source)


def _steps(reference: str, store: Store) -> tuple[Step, ...]:
    found = store.find(reference)
    return found.lineage.steps if found else ()


def _change(step: Step) -> page.Change:
    digests = step.parameters.get("data_digests")
    calibration = step.parameters.get("calibration")
    datasets = {str(name): str(digest) for name, digest in digests.items()} if isinstance(digests, dict) else {}
    if isinstance(calibration, dict) and "digest" in calibration:
        datasets["calibration"] = str(calibration["digest"])
    rest = {name: value for name, value in step.parameters.items() if name not in _DATA}
    return page.Change(step.name, rest, datasets, step.versions)


def _lock_state(source: SourceRecord, lock: LockContent) -> page.LockState:
    same_place = [one for one in lock.models.values() if (one.kind, one.location) == (source.kind, source.location)]
    if not same_place:
        return "not locked"
    ours = {(record.path, record.sha256) for record in source.files}
    return "as locked" if any(ours == {(r.path, r.sha256) for r in one.files} for one in same_place) else "differs"


def _gates(facts: Facts, store: Store) -> Iterator[page.Gate]:
    for link in facts.chain:
        for state in link.gates:
            verdict = read_verdict(store, store.get(link.name), state.gate)
            yield page.Gate(
                gate=state.gate,
                artifact=link.name,
                passed=verdict.passed if verdict else None,
                judged_at=verdict.judged_at if verdict else None,
                reasons=verdict.reasons if verdict else (state.problem,),
                measurements=verdict.measurements if verdict else {},
            )


def _signatures(facts: Facts, policies: Policies) -> Iterator[page.Signed]:
    """As the policies' own rules judge them; a signature counts that one of them trusts."""
    rules = [rule for file in policies.files for _, rule in file.policy.rules() if isinstance(rule, SignatureRule)]
    for link in facts.chain:
        for signature in link.signatures:
            found = [rule.problem_of(signature, link) for rule in rules]
            state = "not checked" if not found else "trusted" if "" in found else found[0]
            yield page.Signed(link.name, signature.signer, state)
        for problem in link.unreadable:
            yield page.Signed(link.name, "not readable", problem)
