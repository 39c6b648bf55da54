"""What `freehold evaluate` prints of a run when it has ended."""

from pathlib import Path
from typing import Any

import yaml

from freehold.core.cli.options import Format
from freehold.core.cli.output import print_json, print_rows
from freehold.core.progress import hint
from freehold.evaluate.report.document import Report
from freehold.evaluate.report.numbers import as_json
from freehold.evaluate.results.means import mean_rows
from freehold.evaluate.results.reading import read_answers
from freehold.evaluate.scorers.agreement import agreement

COLUMNS = ("target", "slice", "score", "answered", "refused", "failed", "skipped", "tokens", "cost")


def report_run(folder: Path, form: Format) -> None:
    """Mean scores by target and slice on stdout; how far a judge agrees with itself on stderr."""
    answers = read_answers(folder)
    suite: dict[str, Any] = yaml.safe_load((folder / "suite.yaml").read_text())
    rows = mean_rows(answers, suite.get("slices"))
    judged = _agreements(suite, answers)
    report = _report(folder) if suite.get("baseline") else None
    if form is Format.JSON:
        means = {"folder": str(folder), "currency": suite["currency"], "means": rows, "judges": judged}
        print_json(means | ({"report": as_json(report)} if report else {}))
        return
    print_rows([_shown(row) for row in rows], COLUMNS, form, empty="There is no answer yet.")
    for candidate in report.candidates if report else ():
        which = f" ({', '.join(candidate.judgement.slices)})" if candidate.judgement.slices else ""
        print(f"\n{candidate.name}: {candidate.judgement.decision.value}{which}")
        for reason in candidate.judgement.reasons:
            print(f"  - {reason}")
    for name, found in judged.items():
        kappa = "none" if found["kappa"] is None else f"{found['kappa']:.2f}"
        raw = "none" if found["raw"] is None else f"{found['raw']:.0%}"
        hint(
            f"{name}: the judge gave the same verdict in both orders for {raw} of {found['pairs']} pairs "
            f"(Cohen's kappa {kappa}; it favoured what stood first {found['favours_first']} times, second "
            f"{found['favours_second']} times, and gave no verdict {found['without_verdict']} times)."
        )


def _report(folder: Path) -> Report | None:
    """Write the report beside the answers; says where it is."""
    from freehold.evaluate.report import write_report
    from freehold.evaluate.report.of_run import report_of_run

    report = report_of_run(folder)
    if report is not None:
        hint(f"The report is {write_report(folder, report)}.")
    return report


def _agreements(suite: dict[str, Any], answers: Any) -> dict[str, Any]:
    found = {}
    for name in suite["scorers"]:
        counted = agreement(one.scores[name] for one in answers if name in one.scores)
        if counted:
            found[name] = {**vars(counted), "raw": counted.raw}
    return found


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    score, cost = row["score"], row["cost"]
    return row | {
        "score": "" if score is None else f"{score:.3f}",
        "cost": "" if cost is None else f"{cost:.6f}",
    }
