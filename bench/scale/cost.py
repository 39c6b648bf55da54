"""What the choice costs the gateway: `python -m bench.scale.cost`, µs of CPU for each request.

Prompts of 2,000 characters, 200 of them, a session each; the fastest of several repetitions.
"""

import json
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from freehold.serve.engines.policies import POLICIES
from freehold.serve.gateway.endpoints import ENDPOINTS
from freehold.serve.gateway.prefix import wish_of
from freehold.serve.gateway.request import RelayedRequest, parse_request

REQUESTS, REPEATS = 2000, 7


@dataclass
class Spot:
    """A replica that takes everything."""

    in_flight: int = 0
    tokens: int = 0


def main() -> None:
    requests = [_request(number) for number in range(400)]
    found = cycle(requests)
    print(f"hashing what a request begins with: {_fastest(lambda: wish_of(next(found), None)):.2f} µs")
    wishes = [wish_of(request, None) for request in requests]
    for places in (2, 16, 128, 1000):
        spots = {f"10.0.{number >> 8}.{number & 255}": Spot() for number in range(places)}
        for name, make in POLICIES.items():
            policy, turn = make(), cycle(wishes)
            policy.change(spots)
            cost = _fastest(lambda: policy.choose(spots, next(turn), lambda _: True))  # noqa: B023
            print(f"{places} replicas, {name}: {cost:.2f} µs")


def _request(number: int) -> RelayedRequest:
    prompt = f"You are app {number % 200}. " + "Be kind to whoever asks. " * 80
    messages = [{"role": "system", "content": prompt}, {"role": "user", "content": f"I am {number}. " + "Why? " * 20}]
    body = json.dumps({"model": "tiny", "messages": messages, "max_tokens": 200}).encode()
    return parse_request(ENDPOINTS["/v1/chat/completions"], {"headers": []}, body)


def _fastest(once: Callable[[], Any]) -> float:
    return min(timeit.repeat(once, number=REQUESTS, repeat=REPEATS, timer=time.process_time)) / REQUESTS * 1e6


if __name__ == "__main__":
    main()
