"""The page: accuracy with its interval, the paired difference to a single answer, and what a solved task costs."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import binomtest

from bench.contemplate.asking import CONCURRENCY, CONTENDERS, MODEL, Answer
from bench.contemplate.questions import PATTERNS, Question
from freehold.evaluate.statistics.interval import mean_interval
from freehold.evaluate.statistics.pairs import Vector
from freehold.evaluate.statistics.significance import p_value

CONFIDENCE = 0.95
Answers = Mapping[tuple[str, int], Answer]


def page(items: Sequence[Question], answers: Answers, machine: str, minutes: float) -> str:
    """docs/benchmarks/contemplation.md."""
    slices = {"all": list(range(len(items)))}
    slices |= {name: [index for index, item in enumerate(items) if item.slice == name] for name in PATTERNS}
    tables = [_table(name, numbers, answers) for name, numbers in slices.items()]
    return "\n".join(
        [
            "# Contemplation: when it pays",
            "",
            f"Made by `python -m bench.contemplate` in {minutes:.0f} minutes on {machine}: {MODEL} in vLLM behind a "
            f"private `freehold serve`, {len(items)} questions ({_sizes(slices)}), {CONCURRENCY} requests at a time, "
            "all contenders shuffled together.",
            "",
            "Accuracy with its 95 % interval (Wilson). Difference: to a single answer at temperature 0 on the same "
            "questions, 95 % bootstrap interval of the pairs and p of McNemar's exact test. Tokens are prompt and "
            "answer of all parts, by the engine's count.",
            "",
            *tables,
            "## What it says",
            "",
            *_verdicts(slices, answers),
            "",
            _cheapest(slices["all"], answers),
            "",
            _outcomes(answers),
            "",
            "The comparison with temperature 0 counts where an application can ask that way, the other where it must "
            "sample. A debate asks its models to judge; whether yours can is what this command is for.",
            "",
        ]
    )


def _sizes(slices: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{len(numbers)} {name}" for name, numbers in slices.items() if name != "all")


def _table(name: str, numbers: Sequence[int], answers: Answers) -> str:
    lines = [
        f"## {name.capitalize()}: {len(numbers)} questions",
        "",
        "| contender | accuracy | difference, points | p | tokens per question | tokens per solved | p50 s | p95 s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for contender in CONTENDERS:
        of = [answers[contender.name, number] for number in numbers]
        solved = sum(answer.is_solved for answer in of)
        low, high = binomtest(solved, len(of)).proportion_ci(CONFIDENCE, method="wilson")
        difference, p = _against(contender.name, CONTENDERS[0].name, numbers, answers)
        tokens = _tokens(contender.name, numbers, answers)
        per_solved = f"{tokens / solved:.0f}" if solved else "none solved"
        p50, p95 = np.quantile([answer.latency_s for answer in of], [0.5, 0.95])
        lines.append(
            f"| {contender.name} | {solved / len(of):.0%} ({low:.0%} to {high:.0%}) | {difference} | {p} "
            f"| {tokens / len(of):.0f} | {per_solved} | {p50:.2f} | {p95:.2f} |"
        )
    return "\n".join([*lines, ""])


def _differences(name: str, base: str, numbers: Sequence[int], answers: Answers) -> Vector:
    pairs = ((answers[name, number].is_solved, answers[base, number].is_solved) for number in numbers)
    return np.array([float(mine) - float(theirs) for mine, theirs in pairs])


def _against(name: str, base: str, numbers: Sequence[int], answers: Answers) -> tuple[str, str]:
    if name == base:
        return "", ""
    values = _differences(name, base, numbers, answers)
    low, high = mean_interval(values, CONFIDENCE, np.random.default_rng(0))
    p = p_value(values, np.random.default_rng(0))
    return (
        f"{100 * values.mean():+.0f} ({100 * low:+.0f} to {100 * high:+.0f})",
        f"{p:.3f}" if p >= 0.001 else "< 0.001",
    )


def _verdicts(slices: Mapping[str, Sequence[int]], answers: Answers) -> list[str]:
    """Whether it pays: what each contemplation gains over a single answer, and for how many times its tokens."""
    lines = []
    for contender in (each for each in CONTENDERS if each.contemplate is not None):
        for base in (each for each in CONTENDERS if each.contemplate is None):
            lines.append(f"- **{contender.name}** against one answer at temperature {base.fields['temperature']}:")
            for name, numbers in slices.items():
                gain = _against(contender.name, base.name, numbers, answers)[0]
                told = _told(_differences(contender.name, base.name, numbers, answers))
                price = _tokens(contender.name, numbers, answers) / _tokens(base.name, numbers, answers)
                lines.append(f"  - {name}: {told}, {gain} points for {price:.1f} times the tokens.")
    return lines


def _told(differences: Vector) -> str:
    low, high = mean_interval(differences, CONFIDENCE, np.random.default_rng(0))
    return "it solves more" if low > 0 else "it does harm" if high < 0 else "no difference is shown, so it does not pay"


def _tokens(name: str, numbers: Sequence[int], answers: Answers) -> int:
    return sum(answers[name, number].tokens for number in numbers)


def _cheapest(numbers: Sequence[int], answers: Answers) -> str:
    solved = {each.name: sum(answers[each.name, number].is_solved for number in numbers) for each in CONTENDERS}
    costs = {name: _tokens(name, numbers, answers) / count for name, count in solved.items() if count}
    if not costs:
        return "Nobody solved anything."
    best = min(costs, key=lambda name: costs[name])
    return f"Fewest tokens per solved question: {best}, {costs[best]:.0f}."


def _outcomes(answers: Answers) -> str:
    counted = Counter((name, answer.outcome) for (name, _), answer in answers.items() if answer.outcome)
    listed = ", ".join(f"{name} {outcome} {count}" for (name, outcome), count in sorted(counted.items()))
    return f"How the contemplations ended: {listed}."
