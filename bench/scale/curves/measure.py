"""Measure an engine's curve: `python -m bench.scale.curves.measure ARTIFACT [--output FILE]`.

Each point is the real engine of this machine, started as `freehold serve` starts it, with a batch of its own.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from bench.gateway.report import machine
from bench.plan.engines import Engines, Timed, engines
from bench.scale.curves.curve import FOLDER, Curve, save_curve
from freehold.core.settings import load_settings
from freehold.core.store import Artifact, Store

CONTEXT = 2048
BATCHES = (1, 2, 4, 8, 16)
PROMPT_TOKENS, OUTPUT_TOKENS = 256, 24


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale.curves.measure",
        description=__doc__,
        epilog="Example:\n  python -m bench.scale.curves.measure smollm2-135m-instruct --rounds 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("artifact")
    parser.add_argument("--rounds", type=int, default=2, help="of each point; the fastest counts (default: 2)")
    parser.add_argument("--output", type=Path, help="default: ARTIFACT.yaml among the curves")
    arguments = parser.parse_args()
    artifact = Store(load_settings().store_root).get(arguments.artifact)
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, engines(Path(folder) / "engines.log") as running:
        curve = _measured(artifact, running, arguments.rounds, f"{machine()}; load average before: {before:.1f}")
    path = arguments.output or FOLDER / f"{artifact.name}.yaml"
    save_curve(path, curve)
    print(f"{path}: {curve.prefill_tokens_per_s:,.0f} prompt tokens/s, step {curve.step_s}")


def _measured(artifact: Artifact, running: Engines, rounds: int, place: str) -> Curve:
    """The fastest of the rounds: what else the machine does only ever adds to it."""
    speeds: list[float] = []
    steps: dict[int, float] = {}
    memory: dict[str, int] = {}
    for batch in BATCHES:
        for _ in range(rounds):
            timed = Timed(batch, PROMPT_TOKENS, OUTPUT_TOKENS)
            told = running.ask(artifact, [], context=CONTEXT, timed=timed)
            memory = told["memory"]
            step = told["speed"]["rest_s"] / (OUTPUT_TOKENS - 1)
            steps[batch] = min(step, steps.get(batch, step))
            speeds.append(batch * PROMPT_TOKENS / told["speed"]["first_s"])
            print(f"{batch} sequences: {speeds[-1]:,.0f} prompt tokens/s, a step of {step * 1000:.1f} ms", flush=True)
    return Curve(
        engine=f"{artifact.name}, CPU",
        source="measured",
        how=f"python -m bench.scale.curves.measure {artifact.name} --rounds {rounds}, on {place}",
        prefill_tokens_per_s=round(statistics.quantiles(speeds, n=4)[2], 1),
        step_s={batch: round(step, 6) for batch, step in steps.items()},
        cache_tokens=int(memory["concurrency"] * memory["context"]),
        block_tokens=memory["block"],
    )


if __name__ == "__main__":
    main()
