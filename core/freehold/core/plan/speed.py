"""How fast: a roofline of memory bandwidth and arithmetic, for reading prompts and for writing answers apart.

A step that writes reads every weight that its tokens meet once, and each sequence's cache, of sparse attention what it
selects and the whole index; a step that reads prompts is arithmetic. Both take longer than a data sheet says, by
`EFFICIENCY`.
"""

from dataclasses import dataclass

from freehold.core.plan.fitting import NUMBER_BYTES, Demand, Layout
from freehold.core.plan.gpus import Gpus
from freehold.core.plan.subject import Subject


@dataclass(frozen=True)
class Efficiency:
    """Shares of what a data sheet promises, and what a step costs beside it. Assumed until measured: `bench/plan`."""

    bandwidth: float = 0.7
    arithmetic: float = 0.5
    step_s: float = 0.001
    """Scheduling and sampling of one step."""
    join_s: float = 15e-6
    """Latency of one all-reduce."""


EFFICIENCY = Efficiency()


@dataclass(frozen=True)
class Load:
    """What requests are like, on average."""

    prompt_tokens: int = 1000
    output_tokens: int = 250


@dataclass(frozen=True)
class Speed:
    """Of all replicas together at a concurrency, in tokens a second."""

    prefill_tokens_per_s: float
    """Of prompts alone."""
    decode_tokens_per_s: float
    """Of answers alone."""
    requests_per_s: float
    """Of both, one after the other."""
    first_token_s: float
    """For a prompt that need not wait."""
    inter_token_s: float

    def output_tokens_per_s(self, load: Load) -> float:
        return self.requests_per_s * load.output_tokens


def speed(
    subject: Subject, gpus: Gpus, layout: Layout, demand: Demand, load: Load, efficiency: Efficiency = EFFICIENCY
) -> Speed:
    """At the demand's concurrency."""
    sequences = max(1, demand.concurrency // layout.replicas)
    prefill = _prefill(subject, gpus, layout, demand, load, efficiency)
    step = _step(subject, gpus, layout, demand, load, sequences, efficiency)
    seconds = load.prompt_tokens / prefill + load.output_tokens * step / sequences
    return Speed(
        prefill_tokens_per_s=prefill * layout.replicas,
        decode_tokens_per_s=sequences / step * layout.replicas,
        requests_per_s=layout.replicas / seconds,
        first_token_s=load.prompt_tokens / prefill + step,
        inter_token_s=step,
    )


def _prefill(subject: Subject, gpus: Gpus, layout: Layout, demand: Demand, load: Load, efficiency: Efficiency) -> float:
    """Tokens a second of one replica: two operations for each parameter a token meets, and its attention."""
    head = subject.parts["head"].elements or subject.parts["embedding"].elements
    operations = 2 * (subject.active - head) + _attention_operations(subject, load.prompt_tokens)
    reached = gpus.gpu.flops(demand.precision) * layout.tensor_parallel * efficiency.arithmetic
    seconds = operations / reached + _joining(subject, gpus, layout, 1024, efficiency) / 1024
    return layout.pipeline_parallel / seconds


def _step(
    subject: Subject,
    gpus: Gpus,
    layout: Layout,
    demand: Demand,
    load: Load,
    sequences: int,
    efficiency: Efficiency,
) -> float:
    """Seconds in which each of so many sequences gets one token."""
    tensor = layout.tensor_parallel
    weights = read_bytes(subject, demand.precision, sequences) / tensor
    tokens = load.prompt_tokens + load.output_tokens // 2
    width = NUMBER_BYTES[demand.kv_cache]
    cached = sequences * sum(kept.read_bytes(tokens, width, tensor) for kept in subject.kept)
    reading = (weights + cached) / (gpus.gpu.bandwidth_bytes_per_s * efficiency.bandwidth)
    working = 2 * subject.active * sequences / (gpus.gpu.flops(demand.precision) * tensor * efficiency.arithmetic)
    return max(reading, working) + _joining(subject, gpus, layout, sequences, efficiency) + efficiency.step_s


def read_bytes(subject: Subject, precision: str, sequences: int) -> float:
    """Bytes of weights that a step of so many sequences reads: all but the experts that none of them was sent to."""
    there, taken = subject.experts
    met = 1 - (1 - taken / there) ** sequences
    weights = subject.weights(precision)
    head = weights.ends[1] or weights.ends[0]
    return weights.layers - weights.experts * (1 - met) + weights.everywhere + head


def _attention_operations(subject: Subject, prompt_tokens: int) -> float:
    """For one token of a prompt, on average: with each entry that it attends to, all heads multiply and add twice.

    An index is compared with only, by heads of its own.
    """
    text = subject.text
    size = int(text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"])
    width = int(text["num_attention_heads"]) * size
    return sum(each.layers * each.attended(prompt_tokens) * (2 * each.compared or 4 * width) for each in subject.kept)


def _joining(subject: Subject, gpus: Gpus, layout: Layout, tokens: int, efficiency: Efficiency) -> float:
    """Two all-reduces a layer, each over the activations of so many tokens."""
    if layout.tensor_parallel == 1:
        return 0.0
    link = gpus.gpu.interconnect.bytes_per_s / 2 if gpus.gpu.interconnect else PCIE_BYTES_PER_S
    moved = 2 * (layout.tensor_parallel - 1) / layout.tensor_parallel * tokens * int(subject.text["hidden_size"]) * 2
    return 2 * subject.layers * (efficiency.join_s + moved / link)


PCIE_BYTES_PER_S = 25e9
"""What a fourth-generation slot moves one way, in practice."""
