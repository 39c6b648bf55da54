"""`freehold audit list`."""

from pathlib import Path
from typing import Annotated

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_rows

app = typer.Typer(
    help="Who administered what, and when.",
    no_args_is_help=True,
    epilog=examples("freehold audit list --since 7d", "freehold audit list --act keys --format json"),
)

COLUMNS = ("time", "act", "actor", "target", "outcome", "origin")


@app.callback()
def _group() -> None:
    """Keep `list` a command of its own: a verb with a single command would be run by the verb's name."""


@app.command(
    "list",
    epilog=examples(
        "freehold audit list",
        "freehold audit list --since 36h --act keys.revoke",
        "freehold audit list --actor cli:root --format json",
    ),
)
def list_acts(
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="36h, 7d, 2026-11-01 or a full RFC 3339 time; UTC.")
    ] = None,
    act: Annotated[str, typer.Option(help="One act (keys.create), or all on one thing (keys).")] = "",
    actor: Annotated[str, typer.Option(help="Id of an admin key, cli:USER, or env.")] = "",
    file: Annotated[Path | None, typer.Option(help="A rotated log; the current one by default.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List administrative acts, oldest first; --format json also shows their details."""
    from datetime import UTC, datetime

    from freehold.core.errors import IntegrityError
    from freehold.core.settings import load_settings
    from freehold.serve.audit_reading import AuditReading, Wanted, parse_since

    moment = None if since is None else parse_since(since, datetime.now(UTC))
    reading = AuditReading(file or load_settings().audit_log)
    rows = list(reading.records(Wanted(moment, act, actor)))
    print_rows(rows, COLUMNS, form, empty="No such act.")
    if reading.unreadable:
        lines = ", ".join(map(str, reading.unreadable))
        raise IntegrityError(
            f"{len(reading.unreadable)} line(s) of {reading.path} are no records",
            why=f"line {lines}: torn by a full disk, or changed by hand",
            next_step="The other records are listed. Compare the file with its backup.",
        )
