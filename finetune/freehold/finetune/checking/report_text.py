"""A report for a terminal, and for a program."""

from statistics import median
from typing import Any

from freehold.core.dataset.checking import Checked
from freehold.finetune.checking.display import MaskPrinter, mask_document
from freehold.finetune.checking.histogram import drawn, histogram
from freehold.finetune.checking.report import Report
from freehold.finetune.checking.tokens import TokenCheck


def print_report(report: Report) -> None:
    """Problems first, then what the data is, what is learnt of it, and what it would take."""
    for problem in report.problems:
        print(problem)
    print(_summary("training data", report.train))
    if report.evaluation:
        print(_summary("evaluation data", report.evaluation))
    if report.tokens and report.tokens.lengths:
        _print_tokens(report.tokens)
    if report.estimate:
        print("\nEstimate:", *(f"  {line}" for line in report.estimate.lines()), sep="\n")
    warnings = len(report.problems) - len(report.errors)
    print(f"\n{len(report.errors)} errors, {warnings} warnings")


def _summary(name: str, checked: Checked) -> str:
    form = checked.format or "no known format"
    return f"{name}: {checked.examples} of {checked.lines} lines can be learnt from ({form}), {checked.digest[:12]}"


def _print_tokens(tokens: TokenCheck) -> None:
    lengths, total = tokens.lengths, sum(tokens.lengths)
    limit = f"; at most {tokens.limit:,}" if tokens.limit else ""
    share = tokens.trained_tokens / total
    print(f"\nTokens: {total:,} in all, {tokens.trained_tokens:,} of them learnt ({share:.0%})")
    print(f"An example has {min(lengths):,} to {max(lengths):,}, half have up to {median(lengths):,.0f}{limit}:")
    for line in drawn(histogram(lengths)):
        print(f"  {line}")
    printer = MaskPrinter()
    print(f"\nLearnt, {printer.legend}:", flush=True)
    for sample in tokens.samples:
        printer.show(tokens.masker, sample)


def report_document(report: Report) -> dict[str, Any]:
    """The report as JSON has it."""
    return {
        "train": _checked(report.train),
        "evaluation": _checked(report.evaluation) if report.evaluation else None,
        "errors": len(report.errors),
        "warnings": len(report.problems) - len(report.errors),
        "problems": [problem.document() for problem in report.problems],
        "tokens": _tokens(report.tokens) if report.tokens else None,
        "estimate": report.estimate.document() if report.estimate else None,
    }


def _checked(checked: Checked) -> dict[str, Any]:
    return {name: getattr(checked, name) for name in ("lines", "examples", "format", "digest")}


def _tokens(tokens: TokenCheck) -> dict[str, Any]:
    bars = [{"from": first, "to": last, "examples": count} for first, last, count in histogram(tokens.lengths)]
    return {
        "total": sum(tokens.lengths),
        "trained": tokens.trained_tokens,
        "longest": max(tokens.lengths, default=0),
        "limit": tokens.limit,
        "histogram": bars,
        "samples": [mask_document(tokens.masker, sample) for sample in tokens.samples],
    }
