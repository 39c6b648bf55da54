"""How long to wait before asking again."""

import random

from freehold.evaluate.targets.attempt import Again
from freehold.evaluate.targets.endpoint import Endpoint


def delay_s(endpoint: Endpoint, retry: int, again: Again) -> float:
    """Before retry number `retry`, from 0: doubling, spread by up to a half so that not all come back at once.

    What the endpoint asked for with `Retry-After` is kept to, where it is longer, up to ten times the longest wait.
    """
    doubled = min(endpoint.backoff_s * 2.0**retry, endpoint.backoff_limit_s)
    spread = doubled * random.uniform(0.5, 1.0)
    return max(spread, min(again.after_s, 10 * endpoint.backoff_limit_s))
