"""Measure the golden probe's spread: `python -m bench.probe [--only TEXT] [--markdown docs/benchmarks/probe.md]`.

Starts a real vLLM for every variant (about a minute each on two cores) and compares it with the reference.
"""

import argparse
import asyncio
import shutil
import tempfile
from pathlib import Path

import aiohttp

from bench.probe.variants import VARIANTS, Variant
from freehold.core.probe.compare import QUANTIZED_LIMIT, SAME_WEIGHTS_LIMIT, Verdict
from freehold.core.probe.reference import probe_reference
from freehold.core.quiet import quiet_libraries
from freehold.core.settings import load_settings
from freehold.core.store import Artifact, Store
from freehold.serve.config import ProcessEngine as ProcessConfig
from freehold.serve.engines.engine import EngineState
from freehold.serve.engines.environments import engine_version, resolve_engine_python
from freehold.serve.engines.probing import probe_engine
from freehold.serve.engines.process import EngineRuntime, ProcessEngine
from freehold.serve.engines.vllm import quantizes_online

MODEL = "smollm2-135m-instruct"


async def measure(variant: Variant, base: Artifact, scratch: Path) -> Verdict:
    """Serve one variant without the gate and take its numbers."""
    settings = load_settings()
    folder = scratch / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base.path, folder)
    reference = base.lineage.probe
    with quiet_libraries():
        if variant.change:
            variant.change(folder)
        if variant.own_reference:
            reference = probe_reference(folder)
    config = ProcessConfig.model_validate({"probe": "off", "maxModelLen": 1024, **variant.engine})
    python = resolve_engine_python(None, settings)
    runtime = EngineRuntime(python, engine_version(python), has_gpu=False, log=scratch / "engine.log")
    engine = ProcessEngine("probe", Artifact(folder, base.lineage), config, runtime, lambda line: None)
    await engine.start()
    try:
        while engine.state not in (EngineState.READY, EngineState.FAILED):
            await asyncio.sleep(0.2)
        if engine.state is EngineState.FAILED:
            raise SystemExit(f"{variant.name}: {engine.detail}")
        async with aiohttp.ClientSession() as session:
            return await probe_engine(
                session, engine.base_url, "probe", reference, quantized_online=quantizes_online(config)
            )
    finally:
        await engine.stop()


def row(variant: Variant, verdict: Verdict) -> str:
    kind = "honest" if variant.honest else "planted"
    outcome = "passes" if verdict.passed else "refused"
    return (
        f"| {kind} | {variant.name} | {verdict.divergence:.5f} | {verdict.limit:.2f} | {verdict.top1_agreement:.0%} "
        f"| {outcome} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only the variants whose name contains this text")
    parser.add_argument("--markdown", type=Path, help="write the table here as well")
    arguments = parser.parse_args()
    base = Store(load_settings().store_root).get(MODEL)
    lines = ["| kind | variant | divergence, nats | limit | most likely token agrees | verdict |", "|" + "---|" * 6]
    print("\n".join(lines))
    with tempfile.TemporaryDirectory() as scratch:
        for variant in VARIANTS:
            if arguments.only in variant.name:
                verdict = asyncio.run(measure(variant, base, Path(scratch)))
                lines.append(row(variant, verdict))
                print(lines[-1], flush=True)
    if arguments.markdown:
        arguments.markdown.parent.mkdir(parents=True, exist_ok=True)
        arguments.markdown.write_text(_page(lines))


def _page(lines: list[str]) -> str:
    return "\n".join(
        [
            "# Golden probe: measured spread",
            "",
            "Made by `python -m bench.probe --markdown docs/benchmarks/probe.md`: SmolLM2-135M-Instruct, vLLM on CPU.",
            f"Limits: {SAME_WEIGHTS_LIMIT} nats for the same weights, {QUANTIZED_LIMIT} for weights quantized on load.",
            "",
            *lines,
            "",
            "The int8 row equals the bfloat16 row to five digits: on a CPU that option seems to leave the weights "
            "alone.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
