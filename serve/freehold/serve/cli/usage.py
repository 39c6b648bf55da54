"""`freehold usage`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freehold.core.cli.options import Format, examples
from freehold.core.cli.output import print_json, print_rows
from freehold.core.progress import hint
from freehold.core.settings import load_settings

if TYPE_CHECKING:
    from freehold.serve.state.usage_rows import UsageReport

app = typer.Typer()

EXAMPLES = examples(
    "freehold usage",
    "freehold usage --by model,day --since 7d",
    "freehold usage --by key --team support --since 2026-11-01 --until 2026-11-30 --format csv",
)
SUMMARY = ("requests", "errors", "prompt_tokens", "completion_tokens", "engine_seconds", "money")
COMPARED = ("replaces", "replaced_money", "saved_money")


class UsageFormat(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@app.command(epilog=EXAMPLES)
def usage(
    by: Annotated[str, typer.Option(help="Some of key, team, model, route, endpoint, day, hour.")] = "team,model",
    since: Annotated[str | None, typer.Option(help="7d, 24h, a day or a time (UTC); 30 days ago by default.")] = None,
    until: Annotated[str | None, typer.Option(help="The same; a day counts to its end. Now by default.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="Only this key, by id or name; may be repeated.")] = None,
    team: Annotated[list[str] | None, typer.Option(help="Only this team; may be repeated.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only this model; may be repeated.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Deployment that says where the database is; ./freehold.yaml if there is one.")
    ] = None,
    form: Annotated[UsageFormat, typer.Option("--format", help="How to print the result.")] = UsageFormat.TABLE,
) -> None:
    """Requests, tokens, engine time and money by team and model, or by what --by names.

    Where the deployment says `replaces`, also what the same tokens would have cost at the closed model's list price.
    """
    import time

    from freehold.serve.config import GatewayConfig
    from freehold.serve.state.comparing import comparisons
    from freehold.serve.state.opening import open_state
    from freehold.serve.state.usage import parse_query, usage_report
    from freehold.serve.state.usage_rows import UsageReport

    query = parse_query(by, since, until, {"key": key or (), "team": team or (), "model": model or ()}, time.time())
    database, deployment = open_state(config, load_settings())
    try:
        known = comparisons(deployment) if deployment else {}
        lines = database.call(lambda connection: usage_report(connection, query, known))
    finally:
        database.close()
    currency = (deployment.gateway if deployment else GatewayConfig()).currency
    report = UsageReport(query, lines, currency)
    if form is UsageFormat.JSON:
        print_json(report.document())
    elif form is UsageFormat.CSV:
        print(report.csv(), end="")
    else:
        _print_table(report)


def _print_table(report: "UsageReport") -> None:
    from freehold.serve.state.moments import show_moment

    rows = report.rows()
    compared = COMPARED if any(row["replaces"] for row in rows) else ()
    groups = tuple(name for name in report.columns if name in report.query.by or name == "key_name")
    shown = [{name: _shown(value) for name, value in row.items()} for row in rows]
    print_rows(shown, groups + SUMMARY + compared, Format.TABLE, empty="No usage in this time.")
    start, end = show_moment(report.query.since), show_moment(report.query.until)
    hint(f"From {start} until {end}; money in {report.currency}.")


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "-" if value == "" or value is None else value
