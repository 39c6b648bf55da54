"""From a run over HTTP to a verdict, and from the verdict into the lineage, or to a refusal."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fixtures.evaluating import write_suite
from fixtures.models import add_artifact
from fixtures.planted_models import Planted, planted_provider, prompts
from fixtures.policies import policies
from fixtures.signing import make_key
from typer.testing import CliRunner

from freehold.core.errors import PolicyError, RefusedError, UserError
from freehold.core.store import Artifact, Step, Store
from freehold.evaluate.cli.evaluate import app as evaluate_app
from freehold.evaluate.promoting import promote
from freehold.evaluate.report.of_run import report_of_run
from freehold.evaluate.running.folder import RunFolder

pytestmark = pytest.mark.slow

KINDS = {"extract": 120, "translate": 120, "chat": 120}
CLOSED = {"extract": 0.9, "translate": 0.5, "chat": 0.8}
REGRESSED = {"extract": 0.4, "translate": 0.8, "chat": 0.8}
"""Worse in one kind, better in another, the same in the third."""
Run = Callable[..., Path]


@pytest.fixture
def artifact(store: Store) -> Artifact:
    return add_artifact(store, "bot", {"config.json": b"{}"})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Path]]:
    """Runs suites for a closed model and ours, both behind one server, each of them once; returns the folder."""
    root, done = tmp_path_factory.mktemp("runs"), dict[str, Path]()

    def run_it(
        served: str, ours: Mapping[str, float], name: str, kinds: Mapping[str, int], suite: Mapping[str, object]
    ) -> Path:
        key = repr((served, ours, name, kinds, suite))
        if key in done:
            return done[key]
        models = {"closed": Planted(CLOSED, tokens=40), "bot": Planted(ours, served)}
        with planted_provider(models) as server:
            targets = {each: {"baseUrl": server.url, "model": each} for each in models}
            fields = {"name": name, "targets": targets, "baseline": "closed", "margin": 0.08} | suite
            path = write_suite(root / f"suite-{len(done)}", prompts(kinds), **fields)
            folder = root / f"run-{len(done)}"
            result = CliRunner().invoke(evaluate_app, [str(path), "--out", str(folder)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        done[key] = folder
        return folder

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FREEHOLD_HOME", str(root / "home"))
        yield run_it


@pytest.fixture
def run(runs: Callable[..., Path], artifact: Artifact, tmp_path: Path) -> Run:
    """A copy of such a run, which a test may change."""

    def run_it(
        ours: Mapping[str, float],
        name: str = "work",
        served: str | None = None,
        kinds: Mapping[str, int] = KINDS,
        **suite: object,
    ) -> Path:
        folder = runs(artifact.id if served is None else served, ours, name, kinds, suite)
        return Path(shutil.copytree(folder, tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"))

    return run_it


def test_what_is_as_good_is_promoted_with_its_numbers(run: Run, store: Store, artifact: Artifact) -> None:
    folder = run({**CLOSED, "translate": 0.8})
    promoted = promote(store, artifact, [folder], ["work"], accept_slices=False)
    record = store.get(artifact.id).lineage.evaluation("work")
    assert record == promoted.lineage.evaluation("work")
    assert record is not None
    assert (record.decision, record.baseline) == ("replace", "closed")
    assert record.fingerprint == Planted({**CLOSED, "translate": 0.8}).fingerprint
    assert record.measurements["prompts"] == 360
    assert record.measurements["candidate_score"] > record.measurements["baseline_score"]
    assert not store.verify(store.get(artifact.id))


def test_a_regression_in_one_slice_is_told_and_refused(run: Run, store: Store, artifact: Artifact) -> None:
    folder = run(REGRESSED)
    document = json.loads((folder / "report.json").read_text())
    [candidate] = document["candidates"]
    assert candidate["worse"] == ["kind=extract"]
    assert candidate["better"] == ["kind=translate"]
    assert candidate["decision"] == "replace for these slices"
    with pytest.raises(RefusedError, match="for kind=chat, kind=translate only"):
        promote(store, artifact, [folder], accept_slices=False)
    assert not store.get(artifact.id).lineage.evaluations
    promote(store, artifact, [folder], accept_slices=True)
    record = store.get(artifact.id).lineage.evaluation("work")
    assert record is not None
    assert record.slices == ("kind=chat", "kind=translate")


def test_one_suite_that_fails_keeps_the_others_out_too(run: Run, store: Store, artifact: Artifact) -> None:
    good, bad = run(CLOSED), run(dict.fromkeys(CLOSED, 0.1), name="safety")
    with pytest.raises(RefusedError, match=r"safety: kind=\w+: worse"):
        promote(store, artifact, [good, bad], accept_slices=True)
    assert not store.get(artifact.id).lineage.evaluations


def test_a_suite_that_is_asked_for_must_have_run(run: Run, store: Store, artifact: Artifact) -> None:
    folder = run(CLOSED)
    with pytest.raises(RefusedError, match="safety: there is no run of this suite"):
        promote(store, artifact, [folder], ["work", "safety"], accept_slices=False)
    with pytest.raises(UserError, match="Two runs are of the suite work"):
        promote(store, artifact, [folder, folder], accept_slices=False)


@pytest.mark.parametrize("served", ["another-artifact-0123456789ab", ""])
def test_a_run_of_another_artifact_proves_nothing(run: Run, store: Store, artifact: Artifact, served: str) -> None:
    folder = run(CLOSED, served=served)
    with pytest.raises(RefusedError, match=f"is no run of {artifact.id}.*bot: {served or 'did not say'}"):
        promote(store, artifact, [folder], accept_slices=False)


def test_answers_that_were_changed_afterwards_are_judged_anew(run: Run, store: Store, artifact: Artifact) -> None:
    folder = run(dict.fromkeys(CLOSED, 0.1))
    report = folder / "report.json"
    report.write_text(report.read_text().replace('"hold"', '"replace"'))
    with pytest.raises(RefusedError, match="worse"):
        promote(store, artifact, [folder], accept_slices=False)


def test_answers_of_two_engines_are_no_evidence(run: Run, store: Store, artifact: Artifact) -> None:
    folder = run(CLOSED)
    answers = RunFolder(folder).answers
    head, _, rest = answers.read_text().partition('"target":"bot"')
    answers.write_text(head + '"target":"bot"' + rest.replace("fp-", "fp-other-", 1))
    with pytest.raises(RefusedError, match="answers of 2 engines"):
        promote(store, artifact, [folder], accept_slices=False)


def test_a_run_without_a_baseline_has_no_report(run: Run, store: Store, artifact: Artifact) -> None:
    folder = run(CLOSED, baseline=None)
    assert report_of_run(folder) is None
    assert not (folder / "report.html").exists()
    with pytest.raises(RefusedError, match="names no baseline"):
        promote(store, artifact, [folder], accept_slices=False)


def test_few_prompts_lead_to_hold(run: Run) -> None:
    folder = run(CLOSED, kinds={"extract": 5, "translate": 5})
    [candidate] = json.loads((folder / "report.json").read_text())["candidates"]
    assert candidate["decision"] == "hold"
    assert "not shown to be as good" in candidate["reasons"][0]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"licenses": {"allow": ["MIT"]}}, "the licence of {id} is not known"),
        ({"publishers": {"allow": ["hub:Qwen/*"]}}, "{id} says of no source"),
        ({"formats": {"allow": ["gguf"]}}, "{id} holds safetensors; allowed are gguf"),
        ({"evaluations": {"suites": ["safety"]}}, "{id} was not promoted with safety"),
        ({"gates": {"require": ["quality"]}}, "{id} has not passed the quality gate: it was never judged"),
        ({"signatures": {"keys": ["site.pub"]}}, "{id} is not signed by anybody trusted"),
    ],
)
def test_what_a_policy_forbids_is_not_promoted(
    runs: Callable[..., Path], store: Store, tmp_path: Path, rules: dict[str, Any], said: str
) -> None:
    make_key(tmp_path)
    files = {"config.json": b"{}", "model.safetensors": b"weights"}
    artifact = add_artifact(store, "bot", files, steps=(Step(name="quantize"),))
    folder = runs(artifact.id, CLOSED, "work", KINDS, {})
    held = policies(tmp_path, **rules)
    with pytest.raises(PolicyError, match=f"{artifact.id} may not be promoted") as refused:
        promote(store, artifact, [folder], accept_slices=False, policies=held)
    (rule,) = rules
    assert refused.value.violations[0].startswith(f"policy rule '{rule}' of {held.files[0].path}: ")
    assert said.format(id=artifact.id) in refused.value.violations[0]
    assert not store.get(artifact.id).lineage.evaluations


def test_a_run_that_is_too_old_is_not_promoted_however_often_it_is_resumed(
    run: Run, store: Store, artifact: Artifact, tmp_path: Path
) -> None:
    folder = run(CLOSED)
    notes = json.loads((folder / "environment.json").read_text())
    begun = datetime.now(UTC) - timedelta(days=40)
    notes["started"] = [begun.isoformat(timespec="seconds"), *notes["started"]]
    (folder / "environment.json").write_text(json.dumps(notes))
    held = policies(tmp_path / "rules", evaluations={"maxAgeDays": 30})
    with pytest.raises(PolicyError, match="its evaluation work is 40.0 days old, and may be 30"):
        promote(store, artifact, [folder], accept_slices=False, policies=held)
    promote(store, artifact, [run(CLOSED)], accept_slices=False, policies=held)
    record = store.get(artifact.id).lineage.evaluation("work")
    assert record is not None and record.evaluated_at is not None
