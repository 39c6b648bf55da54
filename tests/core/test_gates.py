"""Verdicts: kept beside the artifact, asked for by later steps, gone with it."""

import pytest
from fixtures.models import add_artifact

from freehold.core.errors import IntegrityError, RefusedError
from freehold.core.gates import Verdict, read_verdict, record_verdict, require_verdict
from freehold.core.store import Artifact, Store


@pytest.fixture
def artifact(store: Store) -> Artifact:
    return add_artifact(store, "tuned", {"config.json": b"{}"})


def _require(store: Store, artifact: Artifact) -> Verdict:
    return require_verdict(store, artifact, "parity", judge="freehold parity tuned", accept="`accept: [parity]`")


def test_an_artifact_that_was_never_judged_is_refused_with_the_command(store: Store, artifact: Artifact) -> None:
    assert read_verdict(store, artifact, "parity") is None
    with pytest.raises(RefusedError, match="never judged") as refused:
        _require(store, artifact)
    assert "`freehold parity tuned`" in refused.value.next_step and "`accept: [parity]`" in refused.value.next_step


def test_a_failed_verdict_is_refused_with_its_reasons(store: Store, artifact: Artifact) -> None:
    record_verdict(store, Verdict(gate="parity", artifact=artifact.id, passed=False, reasons=("wrong keys", "far off")))
    with pytest.raises(RefusedError, match="wrong keys; far off"):
        _require(store, artifact)


def test_the_newest_verdict_counts_and_each_gate_has_its_own(store: Store, artifact: Artifact) -> None:
    record_verdict(store, Verdict(gate="parity", artifact=artifact.id, passed=False))
    newest = Verdict(gate="parity", artifact=artifact.id, passed=True, measurements={"effect_ratio": 1.0})
    record_verdict(store, newest)
    assert _require(store, artifact) == newest
    assert read_verdict(store, artifact, "quality") is None


def test_a_verdict_goes_with_its_artifact(store: Store, artifact: Artifact) -> None:
    other = add_artifact(store, "other", {"config.json": b"[]"})
    for one in (artifact, other):
        record_verdict(store, Verdict(gate="parity", artifact=one.id, passed=True))
    store.remove(artifact)
    assert read_verdict(store, artifact, "parity") is None
    assert read_verdict(store, other, "parity") is not None


def test_an_unreadable_verdict_is_no_pass(store: Store, artifact: Artifact) -> None:
    path = record_verdict(store, Verdict(gate="parity", artifact=artifact.id, passed=True))
    path.write_text("{}")
    with pytest.raises(IntegrityError, match="not a verdict"):
        _require(store, artifact)
