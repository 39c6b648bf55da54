"""What was made here is served when its gate let it pass, or when the config says that it need not have."""

from pathlib import Path

import pytest
from fixtures.models import add_artifact

from freehold.core.errors import ConfigError, RefusedError
from freehold.core.gates import GateName, Verdict, record_evaluation, record_verdict
from freehold.core.settings import Settings
from freehold.core.store import Artifact, EvaluationRecord, Step, Store
from freehold.serve.config import parse_config
from freehold.serve.engines.fleet import build_fleet
from freehold.serve.engines.promotion import require_gates


def made_by(store: Store, *steps: str) -> Artifact:
    files = {"config.json": b"{}", "made-by.txt": " ".join(steps).encode()}
    return add_artifact(store, "made", files, steps=tuple(Step(name=step) for step in steps))


@pytest.mark.parametrize(
    ("steps", "gate"),
    [(("merge",), "parity"), (("quantize",), "quality"), (("finetune", "merge", "quantize"), "quality")],
)
def test_it_needs_the_gate_of_its_last_step(store: Store, steps: tuple[str, ...], gate: GateName) -> None:
    artifact = made_by(store, *steps)
    with pytest.raises(
        RefusedError, match=f"{artifact.id} may not be served: .* has not passed the {gate} gate"
    ) as error:
        require_gates(store, artifact, ())
    assert f"freehold {gate} {artifact.id}" in error.value.next_step and f"--accept-{gate}" in error.value.next_step
    require_gates(store, artifact, (gate,))
    record_verdict(store, Verdict(gate=gate, artifact=artifact.id, passed=False, reasons=("it says something else",)))
    with pytest.raises(RefusedError, match="did not pass .*: it says something else"):
        require_gates(store, artifact, ())
    record_verdict(store, Verdict(gate=gate, artifact=artifact.id, passed=True))
    require_gates(store, artifact, ())


@pytest.mark.parametrize("steps", [(), ("gguf-import",)])
def test_what_was_pulled_needs_none(store: Store, steps: tuple[str, ...]) -> None:
    require_gates(store, made_by(store, *steps), ())


def test_a_deployment_is_refused_with_the_models_name(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    store = Store(settings.store_root)
    artifact = made_by(store, "quantize")
    config = parse_config({"models": {"small": {"artifact": artifact.id}}}, "The test's config")
    with pytest.raises(ConfigError, match="models.small: .* may not be served.*freehold quality"):
        build_fleet(config, settings, store)


def test_a_required_suite_must_be_in_the_lineage(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    store = Store(settings.store_root)
    artifact = made_by(store)
    model = {"artifact": artifact.id, "requires": ["support", "safety"]}
    config = parse_config({"models": {"small": model}}, "The test's config")
    for suite in ("support", "safety"):
        with pytest.raises(ConfigError, match=f"models.small: .* was not promoted with {suite}.*freehold promote"):
            build_fleet(config, settings, store)
        record = EvaluationRecord(suite=suite, baseline="closed", decision="replace")
        artifact = record_evaluation(store, store.get(artifact.id), record)
    require_gates(store, artifact, (), ("support", "safety"))


def test_a_later_promotion_takes_the_place_of_an_earlier_one(store: Store) -> None:
    artifact = made_by(store)
    for suite, decision in (("b", "replace"), ("a", "replace"), ("b", "replace for these slices")):
        record = EvaluationRecord.model_validate({"suite": suite, "baseline": "closed", "decision": decision})
        artifact = record_evaluation(store, artifact, record)
    kept = store.get(artifact.id).lineage
    assert [(one.suite, one.decision) for one in kept.evaluations] == [
        ("a", "replace"),
        ("b", "replace for these slices"),
    ]
    assert not store.verify(store.get(artifact.id))
