"""What came of the rounds: ratios, since the machine is never quiet."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.gateway.report import machine, percentile
from bench.scale.engines.sessions import ANSWER_TOKENS, APPS, CLIENTS, SESSIONS, TURNS


@dataclass(frozen=True)
class Measured:
    """One contender in one round."""

    hit_rate: float
    """Tokens of prompts that the engines found in their caches, of all (vLLM's own counters)."""
    first_token_s: list[float]
    wall_s: float

    @property
    def p50_s(self) -> float:
        return statistics.median(self.first_token_s)

    @property
    def p99_s(self) -> float:
        return percentile(self.first_token_s, 99)

    @property
    def mean_s(self) -> float:
        return statistics.mean(self.first_token_s)


Round = dict[str, Measured]


def table(rounds: Sequence[Round], names: Sequence[str], baseline: str) -> list[str]:
    """Medians over rounds, smallest and largest in brackets; times as ratios to the baseline's of the same round."""

    def times(of: Callable[[Measured], float], name: str) -> str:
        return _cell([of(row[name]) / of(row[baseline]) for row in rounds], "{:.2f}")

    head = ("", "found in cache", "TTFT mean", "TTFT p50", "TTFT p99", "whole run")
    lines = [f"| {' | '.join(head)} |", "|---|" + "---|" * (len(head) - 1)]
    for name in names:
        cells = [
            _cell([row[name].hit_rate for row in rounds], "{:.1%}"),
            *(times(of, name) for of in (_mean, _p50, _p99, _wall)),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _mean(one: Measured) -> float:
    return one.mean_s


def _p50(one: Measured) -> float:
    return one.p50_s


def _p99(one: Measured) -> float:
    return one.p99_s


def _wall(one: Measured) -> float:
    return one.wall_s


def _cell(values: Sequence[float], shape: str) -> str:
    low, middle, high = (shape.format(value) for value in (min(values), statistics.median(values), max(values)))
    return f"**{middle}** ({low}–{high})"


def page(lines: Sequence[str], command: str, rounds: int, load_average: float) -> list[str]:
    """The section of the page."""
    return [
        f"Written by `{command}`. Two vLLMs on this machine; in front of them one contender after the other, each",
        f"started anew, {rounds} round{'s' * (rounds > 1)}, another one first in each. {APPS} system prompts of about",
        "750 tokens,",
        f"{SESSIONS} sessions with each, {TURNS} turns in each, answers of {ANSWER_TOKENS} tokens, {CLIENTS} clients;",
        "texts that no cache knows are made for each contender and round. Times are ratios to the baseline of the same",
        "round, medians with smallest and largest.",
        "",
        *lines,
        "",
        "Two engines and everything else shared the machine's cores, and other work ran beside (load average before:",
        f"{load_average:.1f}): of the times only large differences mean anything. What was found in the caches is the",
        f"engines' own count and does not depend on that. {machine()}.",
    ]
