"""Promotion: an artifact whose suites say that it can replace its baseline gets their verdicts into its lineage."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from freehold.core.errors import RefusedError, UserError
from freehold.core.gates import record_evaluation, with_evaluation
from freehold.core.policy import NO_POLICY, Policies, Stage, facts_of
from freehold.core.store import Artifact, EvaluationRecord, Store
from freehold.evaluate.report.document import Candidate, Report
from freehold.evaluate.report.of_run import report_of_run, suite_of_run
from freehold.evaluate.report.writing import NUMBERS, write_report
from freehold.evaluate.results.reading import read_answers
from freehold.evaluate.running.folder import RunFolder
from freehold.evaluate.verdict import Decision


@dataclass(frozen=True)
class Evidence:
    """What one run says of the artifact."""

    folder: Path
    record: EvaluationRecord


def promote(
    store: Store,
    artifact: Artifact,
    folders: Sequence[Path],
    required: Sequence[str] = (),
    *,
    accept_slices: bool,
    policies: Policies = NO_POLICY,
) -> Artifact:
    """Record every run's verdict, or none of them.

    `required` are suites that must be among the runs. With `accept_slices`, "replace for these slices" will do. Raises
    RefusedError with everything that speaks against it, PolicyError with everything that policies have against the
    artifact as it would be then.
    """
    found = [evidence_of(artifact, folder) for folder in folders]
    named = [one.record.suite for one in found]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise UserError(f"Two runs are of the suite {', '.join(twice)}", next_step="Name the newer one only.")
    problems = [f"{name}: there is no run of this suite" for name in required if name not in named]
    problems += [problem for one in found if (problem := _against(one, accept_slices=accept_slices))]
    if problems:
        raise RefusedError(
            f"{artifact.id} is not promoted",
            why="; ".join(problems),
            next_step="Read report.html in the run's folder; correct the cause and evaluate again.",
        )
    if policies:
        promoted = with_evaluation(artifact.lineage, *(one.record for one in found))
        facts = facts_of(replace(artifact, lineage=promoted), store, policies.catalogue)
        policies.enforce(facts, Stage.PROMOTE, f"{artifact.id} may not be promoted")
    for one in found:
        artifact = record_evaluation(store, artifact, one.record)
    return artifact


def evidence_of(artifact: Artifact, folder: Path) -> Evidence:
    """What a run says of the artifact, worked out from its answers anew. Raises RefusedError where it says nothing."""
    run = RunFolder.open(folder)
    suite = suite_of_run(folder)
    report = report_of_run(folder)
    if report is None:
        raise RefusedError(
            f"{folder} compares nothing",
            why="its suite names no baseline beside another target",
            next_step="Write `baseline: NAME` into the suite and run it with --resume; what was answered stays.",
        )
    mine = [one for one in report.candidates if run.artifact_of(one.name) == artifact.id]
    if not mine:
        said = {name: run.artifact_of(name) or "did not say" for name in suite.names}
        raise RefusedError(
            f"{folder} is no run of {artifact.id}",
            why=", ".join(f"{name}: {what}" for name, what in said.items()),
            next_step="Evaluate it behind `freehold serve`, whose list of models names the artifact.",
        )
    return Evidence(folder, _record(folder, report, mine[0]))


def _record(folder: Path, report: Report, candidate: Candidate) -> EvaluationRecord:
    write_report(folder, report)
    judgement, overall = candidate.judgement, candidate.judgement.comparison.overall
    prints = {one.fingerprint for one in read_answers(folder) if one.target == candidate.name and one.fingerprint}
    if len(prints) > 1:
        raise RefusedError(
            f"{folder} has answers of {len(prints)} engines for {candidate.name}",
            why=", ".join(sorted(prints)),
            next_step="Run the suite again in a new folder.",
        )
    return EvaluationRecord(
        suite=report.suite,
        baseline=report.baseline,
        decision=judgement.decision.value,
        slices=judgement.slices,
        reasons=judgement.reasons,
        measurements={
            "prompts": overall.prompts,
            "baseline_score": overall.baseline,
            "candidate_score": overall.candidate,
            "difference_low": overall.interval.low,
            "difference_high": overall.interval.high,
            "margin": judgement.margin,
            "skipped": report.skipped,
        },
        fingerprint=next(iter(prints), ""),
        report_sha256=hashlib.sha256((folder / NUMBERS).read_bytes()).hexdigest(),
        evaluated_at=RunFolder(folder).begun_at,
    )


def _against(one: Evidence, *, accept_slices: bool) -> str:
    record = one.record
    if record.measurements["skipped"]:
        return f"{record.suite}: {record.measurements['skipped']} answers were skipped, so nobody knows them"
    if record.decision == Decision.HOLD.value:
        return f"{record.suite}: {record.reasons[0]}"
    if record.decision == Decision.REPLACE_SLICES.value and not accept_slices:
        return f"{record.suite}: it can replace {record.baseline} for {', '.join(record.slices)} only (--accept-slices)"
    return ""
