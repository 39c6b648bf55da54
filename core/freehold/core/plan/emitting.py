"""A plan as a `freehold.yaml` that serves it."""

from typing import Any

import yaml

from freehold.core.adapters.servable import engine_rank
from freehold.core.manifest.engine_check import engine_arguments
from freehold.core.plan.planning import Plan

EXPERT_PARALLEL = "--enable-expert-parallel"


def deployment(made: Plan) -> str:
    """The text of the file; what must be done first stands in it as a comment."""
    subject, manifest = made.subject, made.subject.manifest
    artifact, first = _artifact(made)
    name = manifest.id if manifest else subject.name
    served: dict[str, Any] = {"artifact": artifact, "engine": _engine(made)}
    if made.demand.adapters.count:
        served["adapters"] = {}
    if made.cost:
        served["cost"] = {"gpuHour": made.cost.hour / made.gpus.count, "gpus": _gpus_each(made)}
    lines = [f"# {made.gpus}: {made.fit.layout}.", *(f"# First: {step}" for step in first)]
    if made.fit.layout.replicas > 1:
        lines.append(f"# This is one of {made.fit.layout.replicas} replicas; each takes {_gpus_each(made)} GPU(s).")
    return "\n".join(lines) + "\n" + yaml.safe_dump({"models": {name: served}}, sort_keys=False)


def _gpus_each(made: Plan) -> int:
    return made.fit.layout.tensor_parallel * made.fit.layout.pipeline_parallel


def _artifact(made: Plan) -> tuple[str, list[str]]:
    """What to serve, and the commands that make it."""
    subject, manifest, precision = made.subject, made.subject.manifest, made.demand.precision
    if subject.stored:
        return subject.name, []
    if precision == subject.precision:
        return subject.name, [f"freehold pull {subject.name}"]
    for variant in manifest.variants if manifest else ():
        if variant.precision == precision:
            return variant.repo.rsplit("/", 1)[-1].lower(), [f"freehold pull {variant.repo}"]
    quantize = f"freehold quantize {subject.name} --method {precision}"
    return f"{subject.name}-{precision}", [f"freehold pull {subject.name}", quantize]


def _engine(made: Plan) -> dict[str, Any]:
    layout, demand, manifest = made.fit.layout, made.demand, made.subject.manifest
    engine: dict[str, Any] = {
        "tensorParallel": layout.tensor_parallel,
        "maxModelLen": demand.context,
        "gpuMemoryUtilization": demand.utilization,
    }
    extra: list[str] = []
    if manifest:
        if parser := manifest.engine.tool_call_parser:
            engine["toolCallParser"] = parser.value
        if parser := manifest.engine.reasoning_parser:
            engine["reasoningParser"] = parser.value
        extra += engine_arguments(manifest)
    if demand.adapters.count:
        engine |= {"maxLoras": demand.adapters.count, "maxLoraRank": engine_rank([demand.adapters.rank])}
    if layout.expert_parallel and EXPERT_PARALLEL not in extra:
        extra.append(EXPERT_PARALLEL)
    if layout.pipeline_parallel > 1:
        extra += ["--pipeline-parallel-size", str(layout.pipeline_parallel)]
    if demand.kv_cache != "auto" and "--kv-cache-dtype" not in extra:
        extra += ["--kv-cache-dtype", demand.kv_cache]
    return engine | ({"extraArgs": extra} if extra else {})
