"""What a policy forbids is not served: models, their adapters, and what either was made from."""

from pathlib import Path
from typing import Any

import pytest
from fixtures.models import add_artifact, hub_source
from fixtures.policies import write_policy

from freehold.core.errors import NotFoundError, PolicyError
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
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
