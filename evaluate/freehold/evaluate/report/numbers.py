"""The report as JSON: every number, unrounded."""

import dataclasses
from typing import Any

from freehold.evaluate.report.document import Candidate, Report
from freehold.evaluate.statistics.comparison import SliceResult

SCHEMA = 1


def as_json(report: Report) -> dict[str, Any]:
    """A document of plain values; scores and differences from -1 to 1, latencies in seconds."""
    return {
        "schemaVersion": SCHEMA,
        "suite": report.suite,
        "baseline": report.baseline,
        "seed": report.seed,
        "currency": report.currency,
        "skipped": report.skipped,
        "candidates": [_candidate(one) for one in report.candidates],
        "efficiency": [
            {_camel(key): value for key, value in dataclasses.asdict(one).items()} for one in report.efficiency
        ],
    }


def _candidate(one: Candidate) -> dict[str, Any]:
    judgement = one.judgement
    return {
        "target": one.name,
        "decision": judgement.decision.value,
        "replaceSlices": list(judgement.slices),
        "reasons": list(judgement.reasons),
        "margin": judgement.margin,
        "alpha": judgement.comparison.alpha,
        "worse": [each.name for each in judgement.comparison.worse],
        "better": [each.name for each in judgement.comparison.better],
        "slices": [_slice(each) for each in judgement.comparison.slices],
    }


def _slice(one: SliceResult) -> dict[str, Any]:
    plain = {_camel(key): value for key, value in dataclasses.asdict(one).items() if key != "interval"}
    return {"name": one.name, **plain, "difference": one.difference, "low": one.interval.low, "high": one.interval.high}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
