"""What the demo says of its stages, and what it refuses before it begins."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from freehold.core.errors import EnvironmentProblem, IntegrityError, RefusedError
from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.serve.cli.demo import app
from freehold.serve.demonstration import Wishes, planning, pulling
from freehold.serve.demonstration.evaluating import write_suite
from freehold.serve.demonstration.place import MARK, demo_home
from freehold.serve.demonstration.stages import Stage, Stages
from freehold.serve.demonstration.tuning import rows

ALL = ("plan", "pull", "tune", "parity", "quantize", "quality", "evaluate", "serve")


def wishes(**fields: bool) -> Wishes:
    return Wishes(question="?", port=0, keep=False, **fields)


def test_the_whole_journey_and_what_is_left_of_it() -> None:
    assert wishes().stages == ALL
    assert wishes(tunes=False).stages == ("plan", "pull", "quantize", "quality", "serve"), "nothing to evaluate"
    assert wishes(quantizes=False, evaluates=False).stages == ("plan", "pull", "tune", "parity", "serve")


def test_a_stage_is_said_timed_and_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    stages = Stages(ALL)
    with stages.stage("pull") as stage:
        stage.tell("6 files verified", files=6)
    told = capsys.readouterr().err
    assert "[2/8] pull …" in told and "s: 6 files verified" in told
    row, whole = stages.rows()
    assert (row["stage"], row["evidence"], row["facts"]) == ("pull", "6 files verified", {"files": 6})
    assert (whole["stage"], whole["seconds"]) == ("all", row["seconds"])


def test_a_stage_that_fails_is_not_counted() -> None:
    stages = Stages(ALL)
    with pytest.raises(RuntimeError), stages.stage("tune"):
        raise RuntimeError
    assert [row["stage"] for row in stages.rows()] == ["all"]


def test_what_does_not_fit_is_refused_before_the_pull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=tmp_path)
    monkeypatch.setattr(planning, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(planning, "free_memory", lambda _: 64 * 1024**3)
    stage = Stage("plan")
    planning.plan_here("smollm2-135m-instruct", 2, settings, stage)
    assert stage.evidence.startswith("fits: yes, 2 engine(s) of ") and stage.facts["fits"]
    monkeypatch.setattr(planning, "free_memory", lambda _: 1024**3)
    with pytest.raises(EnvironmentProblem, match=r"1\.0 GiB of memory are free"):
        planning.plan_here("smollm2-135m-instruct", 2, settings, Stage("plan"))


def test_a_file_that_changed_in_the_store_is_seen(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fixtures.models import add_artifact

    artifact = add_artifact(store, "tiny", {"config.json": b"{}"})
    monkeypatch.setattr(pulling, "pull", lambda *_: artifact)
    settings, stage = Settings(home=tmp_path), Stage("pull")
    assert pulling.pull_verified("tiny", settings, stage) == artifact
    assert stage.evidence == f"1 files verified, digest {artifact.lineage.digest[:12]}…"
    (artifact.path / "config.json").write_text("{ }")
    with pytest.raises(IntegrityError, match=r"config\.json: 3 bytes instead of 2"):
        pulling.pull_verified("tiny", settings, Stage("pull"))


def test_the_suite_asks_nothing_that_was_learnt(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, "base", "http://127.0.0.1:1")
    assert suite.is_file()
    lines = [json.loads(line) for line in (tmp_path / "brightwater-questions.jsonl").read_text().splitlines()]
    learnt = {row["messages"][0]["content"] for row in rows()}
    assert len(lines) == 25 and not learnt & {line["prompt"] for line in lines}


def test_what_it_made_is_kept_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with demo_home(tmp_path / "demo", remove=False) as home:
        (home / "weights").write_bytes(bytes(2048))
    assert f"Kept for the next time: 2.0 KiB in {home}; `rm -r {home}` removes it." in capsys.readouterr().err
    assert (home / "weights").is_file()


def test_what_it_made_is_removed_when_asked_for_even_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), demo_home(tmp_path / "demo", remove=True) as home:
        (home / "weights").write_bytes(b"x")
        raise RuntimeError
    assert not home.exists()


def test_a_folder_of_somebody_elses_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RefusedError, match="will not be removed"), demo_home(tmp_path, remove=True):
        pytest.fail("it began")
    assert (tmp_path / "thesis.tex").is_file() and not (tmp_path / MARK).exists()
    ended = CliRunner().invoke(app, ["--home", str(tmp_path), "--remove"])
    assert isinstance(ended.exception, RefusedError)
