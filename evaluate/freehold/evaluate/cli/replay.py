"""`freehold replay ROUTE`."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from freehold.core.cli.options import Format, FormatOption, OfflineOption, examples
from freehold.core.errors import UserError
from freehold.core.settings import load_settings
from freehold.evaluate.cli.sitting import Sitting, run_suite, targets_of

app = typer.Typer()
DayOption = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DAY")]


@app.command(
    epilog=examples(
        "freehold replay support --target qwen3-8b=http://127.0.0.1:8000 --judge qwen3-32b=http://127.0.0.1:8000",
        "freehold replay support --shadow qwen3-8b --similarity qwen3-embedding-0.6b=http://127.0.0.1:8000",
    )
)
def replay(
    route: Annotated[str, typer.Argument(metavar="ROUTE", help="A route that the gateway recorded.")],
    target: Annotated[list[str] | None, typer.Option(metavar="MODEL=URL", help="A candidate to ask.")] = None,
    shadow: Annotated[list[str] | None, typer.Option(metavar="MODEL", help="A shadow whose answers are there.")] = None,
    judge: Annotated[str | None, typer.Option(metavar="MODEL=URL", help="Says which of two texts is better.")] = None,
    similarity: Annotated[
        str | None, typer.Option(metavar="MODEL=URL", help="Embeddings: how alike texts are.")
    ] = None,
    since: DayOption = None,
    until: DayOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most prompts.")] = None,
    margin: Annotated[
        float | None, typer.Option(help="How much of the mean score may be lost; 0.03 by default.")
    ] = None,
    key_from: Annotated[str | None, typer.Option(metavar="VARIABLE", help="Holds the API key of all of them.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="A new folder for the run.")] = None,
    offline: OfflineOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Ask candidates what clients asked, with their parameters, and compare with the answers that they got.

    The recorded answers are the baseline; tools answer as they did. The run is one of `freehold evaluate`: it can be
    resumed, and ends with a verdict and a report.
    """
    from freehold.evaluate.replay.building import Replay, suite_of
    from freehold.evaluate.suite.loading import load_data

    settings = load_settings().with_offline(offline)
    wanted = Replay(
        route,
        _day(since),
        _day(until),
        limit,
        targets_of(target or []),
        shadow or (),
        _one(judge),
        _one(similarity),
        margin,
        key_from,
    )
    loaded = load_data(suite_of(wanted), Path.cwd(), f"The replay of {route}", settings)
    run_suite(loaded, None, settings, Sitting(out), form)


def _day(given: datetime | None) -> date | None:
    return None if given is None else given.date()


def _one(given: str | None) -> tuple[str, str] | None:
    if given is None:
        return None
    ((name, url),) = targets_of([given]).items()
    if not url.startswith(("http://", "https://")):
        raise UserError(f"{url} is no URL", next_step="Write MODEL=URL, as qwen3-32b=http://127.0.0.1:8000.")
    return name, url
