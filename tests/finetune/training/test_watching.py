"""What is seen of a run: metrics, bar, report; and checkpoints that are whole or not there."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from freehold.core.chart.curves import Layout, Line, smoothed, svg
from freehold.core.errors import UserError
from freehold.finetune.training.checkpoints import MARK, CheckpointKeeper, clear_halves, whole_checkpoints
from freehold.finetune.watching.bar import StepBar
from freehold.finetune.watching.metrics import Metrics
from freehold.finetune.watching.report import write_report
from freehold.finetune.watching.samples import Sample
from freehold.finetune.watching.watcher import Watcher


def test_a_resumed_run_tells_its_steps_once(tmp_path: Path) -> None:
    metrics = Metrics.open(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3):
        metrics.add({"step": step, "loss": 1.0 / step})
    with metrics.path.open("a") as stream:
        stream.write('{"step": 4, "lo')  # cut off by a kill
    again = Metrics.open(metrics.path)
    again.rewind(2)
    again.add({"step": 3, "loss": 0.5})
    lines = [json.loads(line) for line in metrics.path.read_text().splitlines()]
    assert lines == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}, {"step": 3, "loss": 0.5}]
    assert again.curve("loss")[-1] == (3, 0.5)


def test_the_bar_tells_steps_loss_speed_and_time_left() -> None:
    stream = io.StringIO()
    bar = StepBar(4, stream=stream)
    bar.advance(4, 0.25, 1234.0)
    assert stream.getvalue() == "Training: step 4 of 4, loss 0.2500 · 1234 tokens/s, 0 s left\n"


def test_a_smoothed_curve_starts_at_its_first_value() -> None:
    assert smoothed([(1, 4.0), (2, 2.0)], 0.5) == [(1, 4.0), (2, pytest.approx(8 / 3))]


def test_curves_lie_within_the_picture_whatever_they_hold() -> None:
    for points in ([], [(5, 1.0)], [(1, 2.0), (2, float("nan")), (3, 2.0)]):
        layout = Layout.of([Line("loss", "red", points)])
        assert all(0 <= x <= 800 and 0 <= y <= 320 for x, y in layout.path(points))
    assert "nan" not in svg([Line("loss", "red", [(1, 2.0), (2, float("nan"))])])


def test_a_running_report_reloads_itself_and_escapes_what_models_say(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "m.jsonl", [{"step": 1, "loss": 2.0}])
    sample = Sample(1, "<b>?</b>", "yes", "<script>alert(1)</script>")
    write_report(tmp_path / "report.html", "run", "running", {"base": "m"}, metrics, [sample])
    page = (tmp_path / "report.html").read_text()
    assert 'http-equiv="refresh"' in page
    assert "<script" not in page and "&lt;script&gt;" in page


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    watcher = Watcher(Metrics.open(tmp_path / "m"), tmp_path / "r", tmp_path / "p", "run", {})
    with pytest.raises(UserError, match="diverged at step 7") as stopped:
        watcher.on_log(None, SimpleNamespace(global_step=7), None, {"loss": float("nan")})
    assert "learningRate" in stopped.value.next_step


def _write_checkpoint(folder: Path, step: int) -> None:
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir()
    (checkpoint / "adapter_model.safetensors").write_bytes(b"weights")


def test_old_checkpoints_go_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    keeper, arguments = CheckpointKeeper(keep=2), SimpleNamespace(output_dir=str(tmp_path))
    for step in (2, 4, 10):
        _write_checkpoint(tmp_path, step)
        keeper.on_save(arguments, SimpleNamespace(global_step=step, is_world_process_zero=True), None)
    assert [path.name for path in whole_checkpoints(tmp_path)] == ["checkpoint-4", "checkpoint-10"]
    _write_checkpoint(tmp_path, 12)  # killed before it was marked
    assert whole_checkpoints(tmp_path)[-1].name == "checkpoint-10"
    clear_halves(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-4"]
    assert all((path / MARK).is_file() for path in tmp_path.iterdir())
