"""What the demo quantizes: its own model, its layers to half of their size, judged before it is served."""

from freehold.core.gates import read_verdict
from freehold.core.progress import human_bytes
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.serve.demonstration.children import freehold
from freehold.serve.demonstration.stages import Stage

METHOD = "int8"
"""A model as small as the demo's loses too much in four bits: the gate says so."""
CALIBRATION = ("--samples", "16", "--sequence-length", "128")
"""Little, for a demo on a laptop; the command's own default is 128 samples of 512 tokens."""
JUDGED = ("--tokens", "2048")
WITHOUT = "--no-quantize"


async def quantize(base: Artifact, settings: Settings, stage: Stage) -> Artifact:
    """Run `freehold quantize`; what was made before is taken again. Raises EngineError if the command fails."""
    store = Store(settings.store_root)
    made = _made(store, base)
    if made is None:
        arguments = ("quantize", base.id, "--method", METHOD, *CALIBRATION, "--no-quality")
        await freehold(settings, *arguments, without=WITHOUT)
        made = _made(store, base)
        assert made is not None, "the command has ended with 0"
    before, after = base.weight_bytes, made.weight_bytes
    stage.tell(compared(base, made), artifact=made.id, base_bytes=before, bytes=after)
    return made


async def judge(made: Artifact, settings: Settings, stage: Stage) -> None:
    """Run `freehold quality`, unless it has passed before."""
    store = Store(settings.store_root)
    verdict = read_verdict(store, made, "quality")
    before = verdict is not None and verdict.passed
    if not before:
        await freehold(settings, "quality", made.id, *JUDGED, without=WITHOUT)
        verdict = read_verdict(store, made, "quality")
    assert verdict is not None, "the command has ended with 0"
    found, limit = verdict.measurements, verdict.limits["perplexity_ratio"]
    stage.tell(
        f"passed{' before' if before else ''}: perplexity {found['base_perplexity']:.2f} → {found['perplexity']:.2f} "
        f"({found['perplexity_ratio']:.3f}×, limit {limit:g}×)",
        passed=verdict.passed,
        **{name: found[name] for name in ("base_perplexity", "perplexity", "perplexity_ratio", "top1_agreement")},
    )


def compared(base: Artifact, made: Artifact) -> str:
    """Both sizes in a line."""
    sizes = [artifact.weight_bytes for artifact in (base, made)]
    return f"{human_bytes(sizes[0])} → {human_bytes(sizes[1])} of weights ({sizes[1] / sizes[0]:.0%})"


def _made(store: Store, base: Artifact) -> Artifact | None:
    """The newest that the demo's method has made of this base."""
    name = f"{base.name}-{METHOD}"
    mine = [each for each in store.artifacts() if each.name == name and each.lineage.parents == (base.id,)]
    return mine[-1] if mine else None
