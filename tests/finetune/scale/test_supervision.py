"""Workers that end, fail, die or lose their parent; small programs stand in for training."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from freehold.core.errors import EnvironmentProblem, RefusedError, UserError
from freehold.finetune.recipe import Recipe
from freehold.finetune.scale.report import WorkerFiles
from freehold.finetune.scale.workers import run_workers

pytestmark = pytest.mark.slow

PRELUDE = """
import os, sys, signal
rank = int(os.environ["RANK"])
def appear(folder):
    with open(f"{folder}/{rank}.partial", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{folder}/{rank}.partial", f"{folder}/{rank}.pid")
"""


def program(text: str) -> list[str]:
    return [sys.executable, "-c", PRELUDE + textwrap.dedent(text)]


@pytest.fixture
def files(tmp_path: Path) -> WorkerFiles:
    return WorkerFiles(tmp_path / "workers")


def test_each_worker_knows_its_place_and_where_the_others_meet(files: WorkerFiles, tmp_path: Path) -> None:
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    text = f"import json; json.dump([os.environ[n] for n in {names}], open(f'{tmp_path}/{{rank}}.json', 'w'))"

    run_workers(program(text), files, 3)

    places = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(3)]
    assert [place[:5] for place in places] == [[str(r), str(r), "3", "3", "127.0.0.1"] for r in range(3)]
    assert len({place[5] for place in places}) == 1


def test_one_that_dies_ends_the_others_and_is_named(files: WorkerFiles, tmp_path: Path) -> None:
    text = f"""
    appear('{tmp_path}')
    if rank == 1:
        sys.stderr.write('one line\\nthe last line\\n'); sys.stderr.flush()
        while not os.path.exists('{tmp_path}/2.pid') or not os.path.exists('{tmp_path}/0.pid'): pass
        os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()
    """
    with pytest.raises(EnvironmentProblem, match="Worker 1 of 3 was killed by signal 9: the last line") as failure:
        run_workers(program(text), files, 3)

    assert "--resume" in failure.value.next_step
    assert not any(psutil.pid_exists(int((tmp_path / f"{rank}.pid").read_text())) for rank in range(3))


def test_an_error_of_ours_comes_back_as_itself(files: WorkerFiles) -> None:
    text = f"""
    from pathlib import Path
    from freehold.core.errors import RefusedError
    from freehold.finetune.scale.report import WorkerFiles
    if rank == 0:
        error = RefusedError('no', why='because', next_step='do')
        WorkerFiles(Path({str(files.path)!r})).write_error(0, error)
        sys.exit(1)
    signal.pause()
    """
    with pytest.raises(RefusedError) as failure:
        run_workers(program(text), files, 2)

    assert (failure.value.what, failure.value.why, failure.value.next_step) == ("no", "because", "do")


def test_an_error_of_an_earlier_run_is_forgotten(files: WorkerFiles) -> None:
    files.write_error(0, RefusedError("old"))
    with pytest.raises(EnvironmentProblem, match="Worker 0 of 2 ended with status 3"):
        run_workers(program("sys.exit(3 if rank == 0 else 0)"), files, 2)


def test_workers_see_the_end_of_a_parent_that_was_killed(tmp_path: Path) -> None:
    """By the pipe that is their standard input, as `scale.worker` watches it."""
    worker = f"""
    import threading
    from freehold.finetune.scale.worker import _end_with_parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    appear('{tmp_path}')
    sys.stdout.write('up\\n'); sys.stdout.flush()
    while True: pass  # as busy as training
    """
    parent = f"""
    from pathlib import Path
    from freehold.finetune.scale.report import WorkerFiles
    from freehold.finetune.scale.workers import run_workers
    run_workers({program(worker)!r}, WorkerFiles(Path({str(tmp_path)!r})), 2)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(parent)], stderr=subprocess.PIPE)
    assert process.stderr is not None
    while process.stderr.readline() != b"up\n":
        assert process.poll() is None
    while not all((tmp_path / f"{rank}.pid").is_file() for rank in range(2)):
        assert process.poll() is None
    workers = [psutil.Process(int((tmp_path / f"{rank}.pid").read_text())) for rank in range(2)]

    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()

    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive


def test_a_base_is_split_over_gpus_only() -> None:
    from freehold.finetune.model.precision import Precision
    from freehold.finetune.scale.arguments import distributed_arguments

    recipe = Recipe.model_validate({"model": "m", "data": {"train": ["f"]}, "scale": {"workers": 2, "fsdp": True}})
    gpu = Precision("cuda", "bfloat16", autocast=True, reason="a test")
    cpu = Precision("cpu", "float32", autocast=False, reason="a test")

    assert distributed_arguments(recipe, gpu)["fsdp"] is True
    with pytest.raises(UserError, match="`scale.fsdp` splits the base over GPUs, and there is none here"):
        distributed_arguments(recipe, cpu)
