"""Whether a model fits: every way to lay it over the GPUs, what is left for the cache, and how much that holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor

from freehold.core.plan.cache import padded
from freehold.core.plan.engine_memory import Adapters, activation_bytes, default_batch, overhead_bytes, workspace_bytes
from freehold.core.plan.gpus import Gpu, Gpus
from freehold.core.plan.subject import Subject

NUMBER_BYTES = {"auto": 2, "bf16": 2, "fp8": 1}
NO_ADAPTERS = Adapters()
SHARED = (1, 2, 4, 8)
"""Numbers of GPUs that may share a layer: those of one machine."""
CONCURRENT_BATCHES = 2
"""One is prepared while one runs (vLLM's asynchronous scheduling)."""
UTILIZATION = 0.9
"""Of each GPU's memory, as `gpuMemoryUtilization` of a deployment is by default."""


@dataclass(frozen=True)
class Demand:
    """What is asked of a deployment."""

    context: int
    """Tokens of one sequence, prompt and answer together."""
    concurrency: int
    """Sequences at once, over all GPUs."""
    precision: str
    adapters: Adapters = NO_ADAPTERS
    kv_cache: str = "auto"
    utilization: float = UTILIZATION


@dataclass(frozen=True)
class Layout:
    """`replicas` engines, each over `tensor_parallel` times `pipeline_parallel` GPUs."""

    tensor_parallel: int
    pipeline_parallel: int
    replicas: int
    expert_parallel: bool = False
    """Whole experts are dealt out to those GPUs, in place of a slice of each."""

    def __str__(self) -> str:
        parts = [f"tensor parallel {self.tensor_parallel}"]
        if self.expert_parallel:
            parts.append("expert parallel")
        if self.pipeline_parallel > 1:
            parts.append(f"pipeline parallel {self.pipeline_parallel}")
        return ", ".join([*parts, f"{self.replicas} replica{'s' if self.replicas > 1 else ''}"])


@dataclass(frozen=True)
class Fit:
    """One layout and what each of its GPUs holds, in bytes."""

    layout: Layout
    gpu_bytes: int
    """What the engine may take."""
    weight_bytes: int
    activation_bytes: int
    overhead_bytes: int
    adapter_bytes: int
    sequence_bytes: int
    """Of the cache, what one sequence of the whole context holds while it is answered."""
    admitted_bytes: int
    """Of the cache, what must be free before such a sequence is taken on; more where layers have windows."""
    asked: int
    """Sequences at once on one replica."""

    @property
    def cache_bytes(self) -> int:
        """Left for the cache; below zero when the model does not even load."""
        taken = self.weight_bytes + self.activation_bytes + self.overhead_bytes + self.adapter_bytes
        return self.gpu_bytes - taken

    @property
    def concurrency(self) -> int:
        """Sequences of the whole context that all replicas hold at once.

        What is free beside those that are answered must do for the next one's prompt (vLLM's admission gate,
        KVCacheManager.allocate_slots); the tokens in flight are of all sequences together.
        """
        beside = self.cache_bytes - self.admitted_bytes
        return max(0, floor(beside / max(self.sequence_bytes, 1)) + 1) * self.layout.replicas

    @property
    def logged_concurrency(self) -> float:
        """What vLLM logs as its maximum: as if each sequence were being taken on."""
        return max(0, self.cache_bytes) / max(self.admitted_bytes, 1) * self.layout.replicas

    @property
    def loads(self) -> bool:
        """At least one sequence."""
        return self.concurrency >= 1

    @property
    def suffices(self) -> bool:
        """As many as were asked for."""
        return self.cache_bytes >= self.admitted_bytes + (self.asked - 1) * self.sequence_bytes


def layouts(subject: Subject, gpus: Gpus) -> Iterator[Layout]:
    """Those that use all GPUs and that the model's shape allows.

    Layers are shared by a power of two of GPUs, at most as many as a machine has; only then are they put in a row.
    """
    sliced = {tensor for tensor in SHARED if not obstacle(subject, tensor)}
    dealt = {tensor for tensor in SHARED if not obstacle(subject, tensor, expert_parallel=True)} - sliced
    for tensor in sorted(sliced | dealt):
        for pipeline in range(1, gpus.count // tensor + 1):
            engines, rest = divmod(gpus.count, tensor * pipeline)
            if not rest and (pipeline == 1 or tensor == max(sliced | dealt)) and pipeline <= subject.layers:
                yield Layout(tensor, pipeline, engines, tensor in dealt)


def obstacle(subject: Subject, tensor_parallel: int, *, expert_parallel: bool = False) -> str:
    """Why its layers cannot be shared by so many GPUs; nothing when they can."""
    return _attention_obstacle(subject, tensor_parallel) or _feed_forward_obstacle(
        subject, tensor_parallel, expert_parallel
    )


def _attention_obstacle(subject: Subject, tensor_parallel: int) -> str:
    text = subject.text
    heads = int(text["num_attention_heads"])
    if heads % tensor_parallel:
        return f"{heads} attention heads cannot be shared by {tensor_parallel} GPUs"
    kv = int(text.get("num_key_value_heads") or heads)
    if not text.get("kv_lora_rank") and kv % tensor_parallel and tensor_parallel % kv:
        return f"{kv} heads of keys and values cannot be shared by {tensor_parallel} GPUs"
    return ""


def _feed_forward_obstacle(subject: Subject, tensor_parallel: int, expert_parallel: bool) -> str:
    """A layer quantized in blocks is sliced between blocks, never through one."""
    there, _ = subject.experts
    if expert_parallel:
        if there == 1:
            return "there are no experts"
        return f"{there} experts cannot be dealt out to {tensor_parallel} GPUs" if there % tensor_parallel else ""
    text = subject.text
    inner = int(text.get("moe_intermediate_size") or text.get("intermediate_size") or tensor_parallel)
    (block, *_) = (subject.config.get("quantization_config") or {}).get("weight_block_size") or [1]
    if inner % (tensor_parallel * block):
        blocks = f" in blocks of {block}" if block > 1 else ""
        return f"a feed-forward layer of {inner}{blocks} cannot be shared by {tensor_parallel} GPUs"
    return ""


def fit(subject: Subject, gpus: Gpus, layout: Layout, demand: Demand) -> Fit:
    """What each GPU holds in that layout."""
    tensor, pipeline = layout.tensor_parallel, layout.pipeline_parallel
    weights = subject.weights(demand.precision)
    batch = default_batch(gpus.gpu)
    working = activation_bytes(subject, batch, tensor) + workspace_bytes(subject, batch, demand.context)
    return Fit(
        layout=layout,
        gpu_bytes=round(gpus.gpu.usable_bytes * demand.utilization),
        weight_bytes=weights.on_each_gpu(tensor, pipeline, subject.layers),
        activation_bytes=working,
        overhead_bytes=overhead_bytes(subject, tensor, pipeline),
        adapter_bytes=round(demand.adapters.size_bytes(subject, tensor) / pipeline),
        sequence_bytes=sequence_bytes(subject, demand.context, demand, layout),
        admitted_bytes=admitted_bytes(subject, demand.context, demand, layout, gpus.gpu),
        asked=-(-demand.concurrency // layout.replicas),
    )


def sequence_bytes(subject: Subject, tokens: int, demand: Demand, layout: Layout, *, in_flight: int = 0) -> int:
    """Of the cache, on each GPU, for one sequence of so many tokens."""
    width = NUMBER_BYTES[demand.kv_cache]
    whole = sum(
        kept.sequence_bytes(tokens, width, layout.tensor_parallel, in_flight=in_flight) for kept in padded(subject.kept)
    )
    stage = -(-subject.layers // layout.pipeline_parallel) / subject.layers
    return round(whole * stage)


def admitted_bytes(subject: Subject, tokens: int, demand: Demand, layout: Layout, gpu: Gpu) -> int:
    """What must be free before such a sequence is taken on: also what steps that were scheduled still hold."""
    return sequence_bytes(subject, tokens, demand, layout, in_flight=CONCURRENT_BATCHES * default_batch(gpu).tokens)


def largest_context(subject: Subject, found: Fit, demand: Demand, gpu: Gpu) -> int:
    """Most tokens that as many sequences as were asked for can have at once; 0 when not even a block of them fits."""
    low, high = 0, subject.context or demand.context
    while low < high:
        middle = (low + high + 1) // 2
        held = (max(found.asked, 1) - 1) * sequence_bytes(subject, middle, demand, found.layout)
        if held + admitted_bytes(subject, middle, demand, found.layout, gpu) <= found.cache_bytes:
            low = middle
        else:
            high = middle - 1
    return low
