"""The report as Markdown: for a pull request, a wiki, a mail."""

from collections.abc import Iterable, Sequence

from freehold.evaluate.report.document import Candidate, Report, SideBySide
from freehold.evaluate.report.wording import (
    EFFICIENCY_HEAD,
    SLICE_HEAD,
    efficiency_row,
    notes,
    points,
    slice_row,
)

MOST_REGRESSIONS = 5
MOST_CHARACTERS = 400


def as_markdown(report: Report) -> str:
    """The verdicts, their tables, and the worst regressions of each candidate."""
    lines = [f"# {report.suite}: {report.baseline} and what could replace it", ""]
    for candidate in report.candidates:
        lines += _candidate(candidate)
    lines += ["## What an answer costs", ""]
    lines += _table(EFFICIENCY_HEAD, (efficiency_row(one, report.currency) for one in report.efficiency))
    if report.skipped:
        lines += ["", f"{report.skipped} answers were not asked for: the budget was spent."]
    return "\n".join(lines) + "\n"


def _candidate(one: Candidate) -> list[str]:
    judgement = one.judgement
    which = f": {', '.join(judgement.slices)}" if judgement.slices else ""
    regressions = [row for row in one.shown if row.difference < 0][:MOST_REGRESSIONS]
    return [
        f"## {one.name}: {judgement.decision.value}{which}",
        "",
        *(f"- {reason}" for reason in judgement.reasons),
        "",
        *_table(SLICE_HEAD, (slice_row(each, judgement.comparison) for each in judgement.comparison.slices)),
        "",
        *notes(judgement.comparison, judgement.margin),
        "",
        *([] if not regressions else ["### Worst regressions", ""]),
        *(line for row in regressions for line in _regression(row, judgement.comparison.baseline, one.name)),
    ]


def _regression(row: SideBySide, baseline: str, candidate: str) -> Iterable[str]:
    kinds = "".join(f", {dimension}={value}" for dimension, value in row.slices.items())
    yield f"**{row.prompt}**{kinds}, {points(row.difference)} points"
    yield ""
    yield f"> {_quoted(row.asked.text)}"
    yield ""
    for name, answers in ((baseline, row.baseline), (candidate, row.candidate)):
        first = answers[0]
        yield f"- {name}: {_quoted(first.answer or first.error or first.outcome)}"
    if row.asked.expected:
        yield f"- expected: {_quoted(row.asked.expected)}"
    yield ""


def _quoted(text: str) -> str:
    line = " ".join(text.split())
    short = line if len(line) <= MOST_CHARACTERS else line[:MOST_CHARACTERS] + " …"
    return short.replace("<", "&lt;").replace("|", "\\|")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *body]
