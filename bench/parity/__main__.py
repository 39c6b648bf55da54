"""Measure the parity gate's spread: `python -m bench.parity ADAPTER [--markdown docs/benchmarks/parity.md]`.

ADAPTER is one that `freehold finetune` made. One real vLLM is started for every dtype and serves all variants.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.parity.variants import VARIANTS, Variant, add
from freehold.core.adapters.reference import read_parity
from freehold.core.gates import Verdict
from freehold.core.settings import Settings, load_settings
from freehold.core.store import Artifact, Store
from freehold.finetune.parity.judge import GateEngine, judge_together

HEADER = (
    "| kind | variant | dtype | effect | tuned, nats (limit) | worst | base | base's own tokens | answers that differ "
    "(at a tie) | verdict |"
)


def measure(
    adapter: Artifact, base: Artifact, dtypes: list[str], chosen: Sequence[Variant], scratch: Path
) -> Iterator[str]:
    """Rows of the table."""
    settings = _private(base, scratch)
    store = Store(settings.store_root)
    variants = [add(store, variant, adapter, number) for number, variant in enumerate(chosen)]
    for dtype in dtypes:
        verdicts = judge_together(store, variants, settings, engine=GateEngine({"dtype": dtype}))
        for variant, verdict in zip(chosen, verdicts, strict=True):
            yield row(variant, dtype, verdict)


def _private(base: Artifact, scratch: Path) -> Settings:
    """A data folder whose store holds the base by link: the variants are nobody's artifacts."""
    settings = replace(load_settings(), home=scratch, offline=True)
    folder = settings.store_root / "artifacts"
    folder.mkdir(parents=True)
    (folder / base.id).symlink_to(base.path)
    return settings


def row(variant: Variant, dtype: str, verdict: Verdict) -> str:
    kind = "honest" if variant.is_honest else "planted"
    found, limits = verdict.measurements, verdict.limits
    return (
        f"| {kind} | {variant.name} | {dtype} | {found['effect_ratio']:.2%} "
        f"| {found['tuned_mean_nats']:.5f} ({limits['tuned_mean']:.3f}) | {found['tuned_worst_nats']:.4f} "
        f"| {found['base_mean_nats']:.5f} | {found['base_tokens_nats']:.5f} "
        f"| {found['answers_different']} ({found['answers_different_at_a_tie']}) "
        f"| {'passes' if verdict.passed else 'refused'} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", help="an adapter in the store, with its parity.json")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16", "float16"])
    parser.add_argument("--only", nargs="+", default=[""], help="only the variants whose name contains one of these")
    parser.add_argument("--markdown", type=Path, help="write the table here as well")
    arguments = parser.parse_args()
    store = Store(load_settings().store_root)
    adapter = store.get(arguments.adapter)
    base = store.get(adapter.lineage.parents[0])
    chosen = [variant for variant in VARIANTS if any(text in variant.name for text in arguments.only)]
    lines = [HEADER, "|" + "---|" * 10]
    print("\n".join(lines))
    with tempfile.TemporaryDirectory() as scratch:
        for line in measure(adapter, base, arguments.dtypes, chosen, Path(scratch)):
            lines.append(line)
            print(line, flush=True)
    if arguments.markdown:
        arguments.markdown.parent.mkdir(parents=True, exist_ok=True)
        arguments.markdown.write_text(_page(lines, adapter, base))


def _page(lines: list[str], adapter: Artifact, base: Artifact) -> str:
    reference = read_parity(adapter.path)
    assert reference is not None, "it was judged"
    positions = sum(len(prompt.positions) for prompt in reference.prompts)
    return "\n".join(
        [
            "# Parity gate: measured spread",
            "",
            "Made by `python -m bench.parity ADAPTER --markdown docs/benchmarks/parity.md`: an adapter of "
            f"{base.name}, {len(reference.prompts)} prompts, {positions} positions, vLLM on this machine.",
            "The limits: `finetune/freehold/finetune/parity/compare.py`; what the columns mean: `docs/parity.md`.",
            "",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    main()
