"""A GPU's curve from the planner; nothing is measured: `python -m bench.scale.curves.roofline MODEL GPU`."""

import argparse
from pathlib import Path

from bench.scale.curves.curve import FOLDER, Curve, save_curve
from freehold.core.plan.fitting import Demand, Layout, fit
from freehold.core.plan.gpus import parse_gpus
from freehold.core.plan.speed import Load, speed
from freehold.core.plan.subject import find_subject
from freehold.core.settings import load_settings

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONTEXT, CONCURRENCY = 8192, 32
LOAD = Load(prompt_tokens=2000, output_tokens=250)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale.curves.roofline",
        description=__doc__,
        epilog="Example:\n  python -m bench.scale.curves.roofline llama-3.1-8b-instruct H100-SXM",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="as `freehold plan` takes it")
    parser.add_argument("gpu", help="as `freehold plan --list-gpus` names it")
    parser.add_argument("--output", type=Path, help="default: MODEL-GPU.yaml among the curves")
    arguments = parser.parse_args()
    curve = computed(arguments.model, arguments.gpu)
    path = arguments.output or FOLDER / f"{arguments.model}-{arguments.gpu.lower()}.yaml"
    save_curve(path, curve)
    print(f"{path}: {curve.prefill_tokens_per_s:,.0f} prompt tokens/s, {curve.cache_tokens:,} tokens of cache")


def computed(model: str, gpu: str) -> Curve:
    """One replica on one such GPU. Raises NotFoundError for a name that is not known."""
    subject, gpus, layout = find_subject(model, load_settings()), parse_gpus(gpu), Layout(1, 1, 1)

    def demand(sequences: int) -> Demand:
        return Demand(CONTEXT, sequences, subject.precision)

    held = fit(subject, gpus, layout, demand(CONCURRENCY))
    speeds = {batch: speed(subject, gpus, layout, demand(batch), LOAD) for batch in BATCHES}
    return Curve(
        engine=f"{model}, {gpus.gpu.title}",
        source="roofline",
        how=f"python -m bench.scale.curves.roofline {model} {gpu}",
        prefill_tokens_per_s=round(speeds[1].prefill_tokens_per_s, 1),
        step_s={batch: round(found.inter_token_s, 6) for batch, found in speeds.items()},
        cache_tokens=int(held.cache_bytes / held.sequence_bytes * CONTEXT),
    )


if __name__ == "__main__":
    main()
