"""Remembers which text was calibrated on, without keeping it, so that nobody judges the result by the same text.

Runs of 16 words are hashed, and one in eight of the hashes is kept with the artifact: what overlaps is found again,
and what was said cannot be read from it.
"""

import hashlib
import re
from collections.abc import Iterable

RUN = 16
KEPT = 8
_WORD = re.compile(r"\w+")


def fingerprint(texts: Iterable[str]) -> frozenset[str]:
    """Hashes of an eighth of all runs of words in the texts."""
    found = set()
    for text in texts:
        words = _WORD.findall(text.lower())
        for start in range(len(words) - RUN + 1):
            digest = hashlib.blake2b(" ".join(words[start : start + RUN]).encode(), digest_size=8).digest()
            if digest[0] % KEPT == 0:
                found.add(digest.hex())
    return frozenset(found)


def overlap(calibrated: Iterable[str], texts: Iterable[str]) -> float:
    """Share of the texts' hashed runs that calibration has seen."""
    own = fingerprint(texts)
    return len(own & frozenset(calibrated)) / len(own) if own else 0.0
