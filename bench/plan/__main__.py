"""Hold plans against engines: `python -m bench.plan ARTIFACT… [--gpu H200-SXM] [--markdown docs/plan-accuracy.md]`.

Every artifact is planned for and then served by the real engine of this machine; the table has prediction, measurement
and error. With a GPU also the peak beside weights and cache, and the speed of a batch.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.plan.engines import Engines, Timed, engines
from bench.plan.predicting import predicted
from freehold.core.page import replaced
from freehold.core.plan.engine_memory import CONTEXT_BYTES, activation_bytes, default_batch
from freehold.core.plan.fitting import Demand, Layout
from freehold.core.plan.gpus import MIB, Gpu, Gpus, find_gpu
from freehold.core.plan.speed import Load, speed
from freehold.core.plan.subject import Subject, subject_of_files
from freehold.core.settings import load_settings
from freehold.core.store import Artifact, Store

CONTEXT = 2048
TIMED = Timed(16, 512, 128)
PROMPT = list(range(5, 25))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="+")
    parser.add_argument("--gpu", help="which GPU this machine has, as `freehold plan --list-gpus` names it")
    parser.add_argument("--context", type=int, default=CONTEXT)
    parser.add_argument("--markdown", type=Path, help="write the table between the marks of this page")
    arguments = parser.parse_args()
    store = Store(load_settings().store_root)
    gpu = find_gpu(arguments.gpu) if arguments.gpu else None
    lines = ["| model | what | planned | measured | error |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder, engines(Path(folder) / "engines.log") as running:
        for name in arguments.artifacts:
            for row in _rows(store.get(name), running, gpu, arguments.context):
                lines.append(row)
                print(row, flush=True)
    if arguments.markdown:
        section = "gpu" if gpu else "cpu"
        told = f"`python -m bench.plan {' '.join(arguments.artifacts)}`, {gpu.title if gpu else 'two cores, no GPU'}:"
        arguments.markdown.write_text(replaced(arguments.markdown.read_text(), section, [told, "", *lines]))


def _rows(artifact: Artifact, running: Engines, gpu: Gpu | None, context: int) -> Iterator[str]:
    subject = subject_of_files(artifact.path, artifact.name)
    told = running.ask(artifact, [PROMPT], context=context, timed=TIMED)
    memory = told["memory"]
    planned = predicted(subject, memory)
    yield _row(artifact, "weights, MiB", planned["weight_bytes"] / MIB, memory["weight_bytes"] / MIB)
    yield _row(artifact, f"sequences of {context} tokens", planned["concurrency"], memory["concurrency"])
    if gpu:
        yield from _of_gpu(artifact, subject, told, gpu)


def _of_gpu(artifact: Artifact, subject: Subject, told: dict[str, Any], gpu: Gpu) -> Iterator[str]:
    memory, took = told["memory"], told["speed"]
    beside = memory["gpu_peak_bytes"] - memory["weight_bytes"] - memory["cache_bytes"]
    yield _row(artifact, "activations, MiB", activation_bytes(subject, default_batch(gpu), 1) / MIB, beside / MIB)
    yield _row(artifact, "beside torch, MiB", CONTEXT_BYTES / MIB, memory["gpu_beside_torch_bytes"] / MIB)
    demand = Demand(memory["context"], TIMED.sequences, subject.precision)
    load = Load(TIMED.prompt_tokens, TIMED.output_tokens)
    planned = speed(subject, Gpus(1, gpu), Layout(1, 1, 1), demand, load)
    prompts = TIMED.sequences * TIMED.prompt_tokens / took["first_s"]
    yield _row(artifact, "prompt tokens/s", planned.prefill_tokens_per_s, prompts)
    answers = TIMED.sequences * (TIMED.output_tokens - 1) / took["rest_s"]
    yield _row(artifact, "answer tokens/s", planned.decode_tokens_per_s, answers)


def _row(artifact: Artifact, what: str, planned: float, measured: float) -> str:
    return f"| {artifact.name} | {what} | {planned:,.1f} | {measured:,.1f} | {planned / measured - 1:+.1%} |"


if __name__ == "__main__":
    main()
