"""`freehold doctor`."""

from typing import Any

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_rows
from freehold.core.progress import hint
from freehold.core.settings import load_settings

app = typer.Typer()


@app.command(epilog=examples("freehold doctor", "freehold doctor --format json"))
def doctor(form: FormatOption = Format.TABLE) -> None:
    """Look at Python, pins, GPU, disk, ports and engines, and say what mends each.

    Ends with 1 when something fails. The first thing to attach to an issue: `freehold doctor --format json`.
    """
    from freehold.core.doctor.check import Status
    from freehold.core.doctor.examination import examine, installed_checks

    rows: list[dict[str, Any]] = []
    for check, finding in examine(installed_checks(load_settings())):
        row = {
            "check": check.name,
            "status": finding.status.value,
            "finding": finding.finding,
            "remedy": finding.remedy,
        }
        rows.append(row)
    print_rows(rows, ("check", "status", "finding"), form)
    for row in rows:
        if row["remedy"] and form is Format.TABLE:
            hint(f"{row['check']}: {row['remedy']}")
    if any(row["status"] == Status.FAIL for row in rows):
        raise typer.Exit(1)
