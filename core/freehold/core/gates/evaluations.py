"""Suites that an artifact must have been promoted with, and the record of its promotion."""

from collections.abc import Sequence

from freehold.core.errors import RefusedError
from freehold.core.store import Artifact, EvaluationRecord, Lineage, Store


def record_evaluation(store: Store, artifact: Artifact, evaluation: EvaluationRecord) -> Artifact:
    """Make the verdict of a suite part of the artifact's lineage, in place of an older one of the same suite."""
    return store.update_lineage(artifact, with_evaluation(artifact.lineage, evaluation))


def with_evaluation(lineage: Lineage, *evaluations: EvaluationRecord) -> Lineage:
    """The lineage with these, each in place of an older one of the same suite."""
    by_suite = {one.suite: one for one in (*lineage.evaluations, *evaluations)}
    return lineage.model_copy(update={"evaluations": tuple(by_suite[name] for name in sorted(by_suite))})


def require_evaluations(artifact: Artifact, suites: Sequence[str]) -> None:
    """Raises RefusedError unless the artifact was promoted with each of these suites."""
    missing = [suite for suite in suites if artifact.lineage.evaluation(suite) is None]
    if missing:
        has = ", ".join(one.suite for one in artifact.lineage.evaluations) or "none"
        raise RefusedError(
            f"{artifact.id} was not promoted with {', '.join(missing)}",
            why=f"its lineage has {has}",
            next_step=f"Evaluate it, then run `freehold promote {artifact.id} --run FOLDER`.",
        )
