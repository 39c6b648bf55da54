"""What a policy forbids is not served: models, their adapters, and what either was made from."""

from pathlib import Path
from typing import Any

import pytest
from fixtures.adapters import add_adapter, add_base
from fixtures.models import add_artifact, hub_source
from fixtures.policies import write_policy
from fixtures.signing import make_key
from typer.testing import CliRunner

from freehold.core.errors import ConfigError, EngineError, IntegrityError, NotFoundError, PolicyError, UserError
from freehold.core.gates import Verdict, record_verdict
from freehold.core.policy import policies_here
from freehold.core.rehearsal import rehearse
from freehold.core.settings import Settings
from freehold.core.signing import Signer, sign_artifact
from freehold.core.store import Artifact, Step, Store
from freehold.serve.adapters.admission import admit
from freehold.serve.cli.serve import app as serve_app
from freehold.serve.cluster.preparing import Preparation, prepare
from freehold.serve.config import DeploymentConfig, load_config, parse_config
from freehold.serve.engines.fleet import build_fleet

COMMIT = "a" * 40
FILES = {"config.json": b"{}", "model.safetensors": b"weights"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.store_root)


def qwen(store: Store, **lineage: Any) -> Artifact:
    fields = {"source": hub_source("Qwen/Qwen3-8B", COMMIT), "license": "apache-2.0"} | lineage
    return add_artifact(store, "qwen", FILES, **fields)


def deployment(artifact: Artifact, **model: Any) -> DeploymentConfig:
    return parse_config({"models": {"small": {"artifact": artifact.id, **model}}}, "The test's config")


def violations(config: DeploymentConfig, settings: Settings, store: Store) -> list[str]:
    with pytest.raises(PolicyError, match="The deployment may not be served") as refused:
        build_fleet(config, settings, store)
    assert refused.value.next_step and refused.value.exit_code == 10
    return refused.value.violations


GOOD: dict[str, Any] = {
    "licenses": {"commercialUse": [True]},
    "publishers": {"allow": ["hub:Qwen/*"]},
    "formats": {"allow": ["safetensors"]},
}


def test_what_every_rule_allows_is_served(settings: Settings, store: Store) -> None:
    write_policy(settings.own_policy, **GOOD)
    build_fleet(deployment(qwen(store)), settings, store)


@pytest.mark.parametrize(
    ("rules", "lineage", "said"),
    [
        ({"licenses": {"allow": ["MIT"]}}, {}, "is under Apache-2.0; allowed are MIT"),
        ({"licenses": {"deny": ["Apache-2.0"]}}, {}, "is under Apache-2.0; denied are Apache-2.0"),
        (
            {"licenses": {"allow": ["Apache-2.0"]}},
            {"license": "cc-by-nc-4.0"},
            "is under CC-BY-NC-4.0; allowed are Apache-2.0",
        ),
        (
            {"licenses": {"allow": ["Apache-2.0"]}},
            {"license": "", "source": hub_source("acme/bot", COMMIT)},
            "the licence of {id} is not known",
        ),
        (
            {"publishers": {"allow": ["hub:Qwen/*"]}},
            {"source": hub_source("acme/Qwen3-8B", COMMIT)},
            "came from hub:acme/Qwen3-8B, which is none of hub:Qwen/*",
        ),
        ({"formats": {"allow": ["gguf"]}}, {}, "holds safetensors; allowed are gguf"),
        ({"evaluations": {"suites": ["safety"]}}, {}, "was not promoted with safety"),
        ({"evaluations": {"maxAgeDays": 30}}, {}, "has no evaluation, and one of at most 30 days is asked for"),
    ],
)
def test_each_rule_catches(
    settings: Settings, store: Store, rules: dict[str, Any], lineage: dict[str, Any], said: str
) -> None:
    policy = write_policy(settings.own_policy, **rules)
    artifact = qwen(store, **lineage)
    (line,) = violations(deployment(artifact), settings, store)
    (rule,) = rules
    assert line.startswith(f"models.small: policy rule '{rule}' of {policy}: ")
    assert line.endswith(said.format(id=artifact.id))


def test_a_gate_that_the_policy_names_cannot_be_waived(settings: Settings, store: Store) -> None:
    write_policy(settings.own_policy, gates={"require": ["quality", "probe"]})
    artifact = qwen(store, steps=(Step(name="quantize"),))
    waived = deployment(artifact, engine={"probe": "off"}, accept=["quality"])
    judged, unproven = violations(waived, settings, store)
    assert "has not passed the quality gate: it was never judged" in judged
    assert "would be served without the golden probe" in unproven
    record_verdict(store, Verdict(gate="quality", artifact=artifact.id, passed=True))
    build_fleet(deployment(artifact), settings, store)


@pytest.mark.parametrize("signed", ["nothing", "the adapter", "both"])
def test_who_is_trusted_signs_the_model_and_the_adapter(settings: Settings, store: Store, signed: str) -> None:
    site = make_key(settings.home)
    write_policy(settings.own_policy, signatures={"keys": ["site.pub"]})
    base = add_base(store)
    adapter = add_adapter(store, base)
    for artifact in {"nothing": (), "the adapter": (adapter,), "both": (base, adapter)}[signed]:
        sign_artifact(store, artifact, Signer(site.private))
    config = deployment(base, adapters={"support": {"artifact": adapter.id}})
    if signed == "both":
        build_fleet(config, settings, store)
        return
    assert f"{base.id} is not signed by anybody trusted" in violations(config, settings, store)[0]


def test_the_adapter_needs_a_signature_of_its_own(settings: Settings, store: Store) -> None:
    site = make_key(settings.home)
    write_policy(settings.own_policy, signatures={"keys": ["site.pub"]})
    base = add_base(store)
    sign_artifact(store, base, Signer(site.private))
    adapter = add_adapter(store, base)
    config = deployment(base, adapters={"support": {"artifact": adapter.id}})
    (found,) = violations(config, settings, store)
    assert found.startswith("models.small.adapters.support: policy rule 'signatures'") and adapter.id in found


def test_a_byte_that_changed_after_signing_is_not_served(settings: Settings, store: Store) -> None:
    site = make_key(settings.home)
    write_policy(settings.own_policy, signatures={"keys": ["site.pub"]})
    artifact = qwen(store)
    sign_artifact(store, artifact, Signer(site.private))
    build_fleet(deployment(artifact), settings, store)
    weights = artifact.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"S")
    with pytest.raises(ConfigError, match=r"is damaged: model\.safetensors: sha256"):
        build_fleet(deployment(artifact), settings, store)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"licenses": {"allow": ["Apache-2.0"]}}, "the licence of {base} is not known"),
        ({"publishers": {"allow": ["hub:Qwen/*"]}}, "{base} says of no source and of no parent"),
    ],
)
def test_an_adapters_base_counts(settings: Settings, store: Store, rules: dict[str, Any], said: str) -> None:
    base = add_base(store)
    adapter = add_adapter(store, base)
    write_policy(settings.own_policy, **rules)
    config = deployment(base, adapters={"support": {"artifact": adapter.id}})
    places = [line.partition(": policy")[0] for line in violations(config, settings, store)]
    assert places == ["models.small", "models.small.adapters.support"]
    policies = policies_here(settings)
    with pytest.raises(PolicyError, match=f"{adapter.id} may not be loaded") as refused:
        admit(store, base, adapter.id, accept=(), max_rank=64, policies=policies)
    assert said.format(base=base.id) in refused.value.violations[0]


def test_a_rehearsal_asks_for_no_evaluation_and_for_everything_else(settings: Settings, store: Store) -> None:
    write_policy(settings.own_policy, evaluations={"suites": ["safety"]}, gates={"require": ["probe"]})
    rehearsal, config = settings.with_rehearsal(True), deployment(qwen(store), engine={"probe": "off"})
    build_fleet(config, rehearsal, store)
    write_policy(settings.own_policy, licenses={"allow": ["MIT"]})
    violations(config, rehearsal, store)


def test_a_rehearsal_is_reached_from_this_machine_alone(tmp_path: Path) -> None:
    ended = CliRunner().invoke(serve_app, ["freehold.yaml", "--rehearsal", "--host", "0.0.0.0"])
    assert isinstance(ended.exception, UserError)
    assert "--rehearsal with --host 0.0.0.0" in str(ended.exception)


@pytest.mark.slow
def test_a_rehearsal_of_ours_is_held_to_the_machines_policy(settings: Settings, store: Store) -> None:
    """Its data folder is another; the policy is found all the same."""
    write_policy(settings.own_policy, licenses={"allow": ["MIT"]})
    served = {"models": {"small": {"artifact": qwen(store).id}}}
    with pytest.raises(EngineError, match="policy rule 'licenses'"), rehearse(served, settings):
        pytest.fail("it was served")


def test_an_engines_pod_is_not_prepared(settings: Settings, store: Store, tmp_path: Path) -> None:
    base = add_base(store)
    adapter = add_adapter(store, base)
    config = deployment(base, adapters={"support": {"artifact": adapter.id}})
    write_policy(settings.own_policy, licenses={"allow": ["MIT"]})
    todo = Preparation("0.32.0", tmp_path / "engine.yaml", has_gpu=False)
    with pytest.raises(PolicyError) as refused:
        prepare(config, "small", store, todo, print, policies_here(settings))
    assert [line.split(": policy")[0] for line in refused.value.violations] == [
        "models.small",
        "models.small.adapters.support",
    ]
    assert not todo.file.exists()


def test_a_pod_reads_every_byte_where_signatures_are_asked_for(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    site = make_key(settings.home)
    write_policy(settings.own_policy, signatures={"keys": ["site.pub"]})
    base = add_base(store)
    sign_artifact(store, base, Signer(site.private))
    todo = Preparation("0.32.0", tmp_path / "engine.yaml", has_gpu=False, verify=False)
    prepare(deployment(base), "small", store, todo, print, policies_here(settings))
    (base.path / "model.safetensors").write_bytes(b"ALPHA")
    with pytest.raises(IntegrityError, match="is damaged"):
        prepare(deployment(base), "small", store, todo, print, policies_here(settings))


def test_a_policy_of_the_deployment_tightens_and_never_lifts(settings: Settings, store: Store, tmp_path: Path) -> None:
    write_policy(settings.own_policy, licenses={"deny": ["Apache-2.0"]})
    write_policy(tmp_path / "rules.yaml", licenses={"allow": ["Apache-2.0"]}, formats={"allow": ["gguf"]})
    config = tmp_path / "freehold.yaml"
    config.write_text(f"models: {{small: {{artifact: {qwen(store).id}}}}}\npolicy: rules.yaml\n")
    ours, theirs = violations(load_config(config), settings, store)
    assert str(settings.own_policy) in ours and "'licenses'" in ours
    assert str(tmp_path / "rules.yaml") in theirs and "'formats'" in theirs


def test_a_deployments_policy_that_is_not_there_is_an_error(settings: Settings, store: Store, tmp_path: Path) -> None:
    config = tmp_path / "freehold.yaml"
    config.write_text(f"models: {{small: {{artifact: {qwen(store).id}}}}}\npolicy: rules.yaml\n")
    with pytest.raises(NotFoundError, match=r"rules\.yaml: the deployment's `policy` names it"):
        build_fleet(load_config(config), settings, store)
