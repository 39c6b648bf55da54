"""Chooses among weighted targets so that the same caller keeps to the same one.

Weighted rendezvous hashing (https://www.ietf.org/archive/id/draft-ietf-bess-weighted-hrw-00.html): when weights change,
only the callers that have to move do, and every gateway replica chooses alike without asking the others.
"""

import math
import random
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

Target = TypeVar("Target")

_TOP = float(1 << 64)


def choose(targets: Sequence[tuple[Target, int]], names: Sequence[str], salt: str, caller: str) -> Target:
    """One of `targets` (with weights above 0); `names` tell them apart. An empty `caller` is served at random."""
    if len(targets) == 1:
        return targets[0][0]
    if not caller:
        return random.choices([target for target, _ in targets], [weight for _, weight in targets])[0]
    best, best_score = targets[0][0], -math.inf
    for (target, weight), name in zip(targets, names, strict=True):
        score = -weight / math.log(_share(f"{salt}\0{name}\0{caller}"))
        if score > best_score:
            best, best_score = target, score
    return best


def falls_in(percent: float, salt: str, caller: str) -> bool:
    """Whether this caller is in the first `percent` of all; an empty one is by chance."""
    share = _share(f"{salt}\0{caller}") if caller else random.random()
    return share * 100 < percent


def _share(text: str) -> float:
    """A number between 0 and 1, neither included, which looks random and is always the same."""
    encoded = text.encode(errors="surrogatepass")  # JSON can name a user by half of a surrogate pair
    return (int.from_bytes(blake2b(encoded, digest_size=8).digest()) + 0.5) / _TOP
