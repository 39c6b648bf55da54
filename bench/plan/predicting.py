"""What the planner says of an engine that told its own numbers."""

from collections.abc import Mapping
from typing import Any

from freehold.core.plan.cache import padded
from freehold.core.plan.subject import Subject

STORED_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


def predicted(subject: Subject, memory: Mapping[str, Any]) -> dict[str, float]:
    """Bytes of the weights, and sequences of the engine's context that its cache holds.

    The engine tells how wide its numbers are: a CPU without arithmetic for 16 bits takes 32.
    """
    stored = STORED_BYTES.get(subject.precision)
    widening = memory["number_bytes"] / stored if stored else 1
    return {
        "weight_bytes": subject.weights(subject.precision).total * widening,
        "concurrency": memory["cache_bytes"] / _sequence(subject, memory, memory["number_bytes"]),
    }


def _sequence(subject: Subject, memory: Mapping[str, Any], number_bytes: int) -> int:
    in_flight, block = memory["in_flight"], memory["block"]
    return sum(
        kept.sequence_bytes(memory["context"], number_bytes, 1, in_flight=in_flight, block=block)
        for kept in padded(subject.kept)
    )
