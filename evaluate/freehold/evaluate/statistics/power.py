"""What a number of prompts can show, said before anybody pays for them."""

import math
from statistics import NormalDist

POWER = 0.8
"""How often a difference of that size is found when it is there."""
EXPECTED_DISAGREEMENT = 0.2
"""Share of prompts on which two models of about the same ability differ, where nothing is known yet."""


def visible_difference(
    prompts: int, disagreement: float = EXPECTED_DISAGREEMENT, alpha: float = 0.05, power: float = POWER
) -> float:
    """The smallest difference in mean score, from 0 to 1, that so many prompts show.

    `disagreement` is the mean square of the differences: for answers that are right or wrong, the share of prompts that
    one target has right and the other has wrong. By the normal approximation to McNemar's test (Connor, "Sample Size
    for Testing Differences in Proportions for the Paired-Sample Design", Biometrics 43, 1987), solved for the
    difference. 1 if nothing that can happen would show.
    """
    if prompts <= 0:
        return 1.0
    normal = NormalDist()
    chance, found = normal.inv_cdf(1 - alpha / 2), normal.inv_cdf(power)
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        spread = max(disagreement, middle)  # a difference of ten points takes ten points of disagreement
        needed = chance * math.sqrt(spread) + found * math.sqrt(max(spread - middle**2, 0.0))
        low, high = (low, middle) if middle * math.sqrt(prompts) >= needed else (middle, high)
    return high


def prompts_needed(difference: float, disagreement: float = EXPECTED_DISAGREEMENT, alpha: float = 0.05) -> int:
    """How many prompts show a difference of that size, between 0 and 1."""
    low, high = 1, 1
    while visible_difference(high, disagreement, alpha) > difference:
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if visible_difference(middle, disagreement, alpha) <= difference else (middle + 1, high)
        )
    return high
