"""The processes of a run on one machine: started together, ended together."""

import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from freehold.core.errors import EnvironmentProblem, FreeholdError
from freehold.finetune.scale.report import WorkerFiles

GRACE_S = 10.0
"""Between SIGTERM and SIGKILL for workers whose run is over."""


def run_workers(command: Sequence[str], files: WorkerFiles, count: int) -> None:
    """Run `command` in `count` processes, each told its rank, until all have ended well.

    The first shows its progress on our standard error, the others write logs. Raises the error of a worker that
    failed, or EnvironmentProblem for one that died; the others are ended first. Each has a pipe of ours as standard
    input, which closes when this process ends, however it does.
    """
    files.clear()
    with _started(command, files, count) as workers:
        ended: queue.Queue[tuple[int, int]] = queue.Queue()
        for rank, worker in enumerate(workers):
            threading.Thread(target=_tell_end, args=(rank, worker, ended), daemon=True).start()
        for _ in workers:
            rank, status = ended.get()
            if status:
                _end(workers)
                raise _failure(rank, status, count, files)


def environment(rank: int, count: int, port: int) -> dict[str, str]:
    """What torch and accelerate read to find the other workers of one machine."""
    threads = max(1, (os.cpu_count() or 1) // count)
    return {
        "OMP_NUM_THREADS": str(threads),
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


@contextmanager
def _started(command: Sequence[str], files: WorkerFiles, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    port = _free_port()
    workers: list[subprocess.Popen[bytes]] = []
    with ExitStack() as logs:
        try:
            for rank in range(count):
                log = logs.enter_context(files.log(rank).open("wb")) if rank else None
                workers.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,  # never written; it closes with this process
                        stdout=log or sys.stderr,
                        stderr=log or sys.stderr,
                        env=environment(rank, count, port),
                        start_new_session=True,  # Ctrl-C is for the parent, which then ends them in order
                    )
                )
            yield workers
        finally:
            _end(workers)


def _tell_end(rank: int, worker: subprocess.Popen[bytes], ended: "queue.Queue[tuple[int, int]]") -> None:
    ended.put((rank, worker.wait()))


def _end(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        try:
            worker.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
        if worker.stdin:
            worker.stdin.close()


def _failure(rank: int, status: int, count: int, files: WorkerFiles) -> FreeholdError:
    if said := files.read_error(range(count)):
        return said
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return EnvironmentProblem(
        f"Worker {rank} of {count} {how}",
        why=_last_words(rank, files),
        next_step="The others were ended. Checkpoints are kept: go on with `--resume`.",
    )


def _last_words(rank: int, files: WorkerFiles) -> str:
    if rank == 0:
        return "what it said is above"
    lines = files.log(rank).read_text(errors="replace").strip().splitlines()
    return f"{lines[-1]} ({files.log(rank)})" if lines else f"it said nothing ({files.log(rank)})"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
