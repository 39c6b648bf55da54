"""The gate around the numbers: what is refused and recorded without an engine, and how it is shown."""

import json
from pathlib import Path

import pytest
from fixtures.trained import Recipe, add_adapter, change_json
from typer.testing import CliRunner

from freehold.core.cli.main import build_app
from freehold.core.errors import GateError, RefusedError
from freehold.core.gates import read_verdict
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.finetune.parity.judge import GateEngine, judge_parity


@pytest.fixture
def settings(shelf: Store) -> Settings:
    return Settings(home=shelf.root.parent, offline=True)


def test_an_artifact_without_a_reference_cannot_be_judged(shelf: Store, base: Artifact, settings: Settings) -> None:
    with pytest.raises(RefusedError, match=r"no parity\.json"):
        judge_parity(shelf, base, settings)
    assert read_verdict(shelf, base, "parity") is None


def test_what_cannot_agree_is_recorded_without_an_engine(
    shelf: Store, base: Artifact, scratch: Path, settings: Settings
) -> None:
    adapter = add_adapter(shelf, base, "honest", scratch)
    verdict = judge_parity(shelf, adapter, settings, engine=GateEngine({"maxLoraRank": 1}))
    assert not verdict.passed
    assert "above the engine's `--max-lora-rank` of 1" in verdict.reasons[0]
    assert verdict.measurements == {}
    assert read_verdict(shelf, adapter, "parity") == verdict


def test_the_command_ends_with_6_and_shows_the_verdict(
    shelf: Store, base: Artifact, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FREEHOLD_HOME", str(shelf.root.parent))
    wrong = Recipe(break_files=change_json("parity.json", base_digest="f" * 64))
    adapter = add_adapter(shelf, base, "elsewhere", scratch, wrong)
    for form in ("table", "json"):
        ended = CliRunner().invoke(build_app(), ["parity", adapter.id, "--format", form])
        assert isinstance(ended.exception, GateError)
        assert ended.exception.exit_code == 6
        assert "did not pass the parity gate" in str(ended.exception)
        shown = ended.stdout
        assert adapter.id in shown and "another base" in shown
    (verdict,) = json.loads(shown)
    assert verdict["passed"] is False


def test_the_command_takes_all_of_an_engines_options_as_they_are() -> None:
    engine = GateEngine({"dtype": "bfloat16", "maxLoraRank": 64, "extraArgs": ["--quantization", "fp8"]})
    assert (engine.max_rank, engine.quantizes) == (64, True)
    assert (GateEngine().max_rank, GateEngine().quantizes) == (512, False)
