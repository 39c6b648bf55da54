"""What is asked of a gateway. The mock engine reads the figures from the prompt, which every gateway lets through."""

import json
import re
from dataclasses import dataclass

MODEL = "mock"
KEY = "fh-" + "b" * 43
"""What every client sends; it has the shape of one of Freehold's keys."""
_FIGURES = re.compile(rb"chunks=(\d+) pace_ms=(\d+)")


@dataclass(frozen=True)
class Workload:
    """`clients` at a time send the same request again and again, for `seconds`."""

    name: str
    clients: int
    chunks: int = 0
    """Content events of a streamed answer; 0 asks for a plain one."""
    pace_ms: int = 0
    """Between two of them; 0 sends them as fast as the connection takes them."""
    seconds: float = 2.0

    def body(self) -> bytes:
        """A chat request of ordinary size."""
        system = "You answer in one sentence. " * 20
        asked = f"What is the capital of France? chunks={self.chunks} pace_ms={self.pace_ms}"
        messages = [{"role": "system", "content": system}, {"role": "user", "content": asked}]
        request = {"model": MODEL, "messages": messages, "temperature": 0.7, "max_tokens": 512}
        return json.dumps({**request, "stream": True} if self.chunks else request).encode()


def figures(body: bytes) -> tuple[int, int]:
    """(chunks, pace_ms) that a request asks the mock engine for."""
    match = _FIGURES.search(body)
    return (int(match[1]), int(match[2])) if match else (0, 0)


PLAIN_1 = Workload("plain, 1 client", 1)
PLAIN_16 = Workload("plain, 16 clients", 16)
PLAIN_64 = Workload("plain, 64 clients", 64)
FIRST_TOKEN = Workload("first token", 1, chunks=4, pace_ms=5)
UNPACED = Workload("unpaced stream", 4, chunks=512)
PACED = Workload("paced stream", 16, chunks=64, pace_ms=5)

WORKLOADS = (PLAIN_1, PLAIN_16, PLAIN_64, FIRST_TOKEN, UNPACED, PACED)
