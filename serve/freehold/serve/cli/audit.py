"""`freehold audit` and `freehold audit log`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freehold.core.cli.options import Format, FormatOption, OfflineOption, examples
from freehold.core.cli.output import print_json, print_rows
from freehold.core.errors import GateError, UserError
from freehold.core.progress import hint

if TYPE_CHECKING:
    from freehold.serve.compliance.document import Report

app = typer.Typer(
    epilog=examples(
        "freehold audit",
        "freehold audit --config freehold.yaml --html audit.html --verify",
        "freehold audit --gateway http://127.0.0.1:8000 --format json",
        "freehold audit log --since 7d",
    ),
)

COLUMNS = ("time", "act", "actor", "target", "outcome", "origin")
CONFIG = Path("freehold.yaml")


@app.callback(invoke_without_command=True)
def audit(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="The deployment; ./freehold.yaml if there is one and no --gateway.")
    ] = None,
    gateway: Annotated[
        str | None, typer.Option(metavar="URL", help="A running gateway: what it says that it serves.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(envvar="FREEHOLD_API_KEY", help="Key of that gateway; better by the environment than here."),
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the page there, as one file.")] = None,
    lock_file: Annotated[Path, typer.Option(help="What files are held against.")] = Path("freehold.lock"),
    verify: Annotated[bool, typer.Option("--verify", help="Read every file of every artifact that is served.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with status 6 if something speaks against what is served.")
    ] = False,
    offline: OfflineOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """What is served, from what, evaluated how, under which licence and policy: the page for a compliance officer.

    Of a deployment, of a running gateway, or of both held against each other.
    """
    if context.invoked_subcommand is not None:
        return
    report = _report(config, gateway, key, lock_file, verify=verify, offline=offline)
    _show(report, html, form)
    if strict and not report.is_clean:
        raise GateError("Something speaks against what is served", next_step="It is listed above, with its reasons.")


def _report(
    config: Path | None, gateway: str | None, key: str | None, lock_file: Path, *, verify: bool, offline: bool
) -> "Report":
    from freehold.core.settings import load_settings
    from freehold.serve.compliance.gathering import Sources, report_of_deployment, report_of_gateway
    from freehold.serve.compliance.running import ask_gateway
    from freehold.serve.config import load_config

    settings = load_settings().with_offline(offline)
    path = config or (CONFIG if CONFIG.is_file() and gateway is None else None)
    if path is None and gateway is None:
        raise UserError(
            "Nothing to look at",
            why="there is no freehold.yaml here, and no gateway was named",
            next_step="Add --config FILE or --gateway URL. The log of administrative acts is `freehold audit log`.",
        )
    deployment = load_config(path) if path else None
    running = ask_gateway(gateway, key, offline=settings.offline) if gateway else None
    sources = Sources.here(settings, lock_file, deployment, verify=verify)
    if deployment is None:
        assert running is not None and gateway is not None, "one of the two was named"
        return report_of_gateway(running, gateway, sources)
    return report_of_deployment(deployment, str(path), sources, running, gateway or "")


def _show(report: "Report", html: Path | None, form: Format) -> None:
    from freehold.serve.compliance.document import as_document
    from freehold.serve.compliance.page import as_page
    from freehold.serve.compliance.wording import HEAD, findings, summary

    if html is not None:
        html.write_text(as_page(report))
        hint(f"Written: {html}")
    if form is Format.JSON:
        print_json(as_document(report))
        return
    print_rows([dict(summary(one)) for one in report.served], HEAD, form, empty="Nothing is served.")
    for line in findings(report):
        hint(line)


@app.command(
    "log",
    epilog=examples(
        "freehold audit log",
        "freehold audit log --since 36h --act keys.revoke",
        "freehold audit log --actor cli:root --format json",
    ),
)
@app.command("list", hidden=True, epilog=examples("freehold audit log"))
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
    rows: list[dict[str, Any]] = list(reading.records(Wanted(moment, act, actor)))
    print_rows(rows, COLUMNS, form, empty="No such act.")
    if reading.unreadable:
        lines = ", ".join(map(str, reading.unreadable))
        raise IntegrityError(
            f"{len(reading.unreadable)} line(s) of {reading.path} are no records",
            why=f"line {lines}: torn by a full disk, or changed by hand",
            next_step="The other records are listed. Compare the file with its backup.",
        )
