"""`freehold recordings list|show|export|delete|access`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freehold.core.cli.options import Format, FormatOption, YesOption, examples
from freehold.core.cli.output import print_json, print_rows
from freehold.core.progress import hint, human_bytes

if TYPE_CHECKING:
    from datetime import date

    from freehold.core.recording import DayFile, RecordingStore

app = typer.Typer(
    help="Recorded prompts and answers: list, read, export and delete them; every reading is logged.",
    no_args_is_help=True,
    epilog=examples("freehold recordings list", "freehold recordings export --route support > support.jsonl"),
)

DAY = "YYYY-MM-DD"
RouteOption = Annotated[str | None, typer.Option(help="One route; all of them when left out.")]
OneRouteOption = Annotated[str, typer.Option(help="The route, as clients name it.")]


class ExchangeKind(StrEnum):
    """Which exchanges to export."""

    ANSWER = "answer"
    SHADOW = "shadow"


class Shape(StrEnum):
    """What a line of the export is."""

    RECORD = "record"
    CHAT = "chat"


def _store() -> "RecordingStore":
    from freehold.core.recording import RecordingStore
    from freehold.core.settings import load_settings

    return RecordingStore(load_settings().recordings_root)


def _reader() -> str:
    """The user that the kernel knows, whatever the environment says."""
    import os
    import pwd

    try:
        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # a container's user may have no name
        return f"cli:uid-{os.getuid()}"


def _day(text: str | None) -> "date | None":
    from freehold.core.recording import parse_day

    return None if text is None else parse_day(text)


@app.command("list", epilog=examples("freehold recordings list", "freehold recordings list --route support"))
def list_recordings(route: RouteOption = None, form: FormatOption = Format.TABLE) -> None:
    """List what is recorded, by route and day (UTC)."""
    from freehold.core.recording import Filter

    rows = [_row(file) for file in _store().files(_reader(), Filter(route=route))]
    empty = "Nothing is recorded. A route records when it has `record: {}` in its config."
    print_rows(rows, ("route", "day", "records", "size"), form, empty=empty)


def _row(file: "DayFile") -> dict[str, Any]:
    return {
        "route": file.route,
        "day": file.day.isoformat(),
        "records": file.count(),
        "size": human_bytes(file.size_bytes),
        "size_bytes": file.size_bytes,
        "path": str(file.path),
    }


@app.command(epilog=examples("freehold recordings show 01890a5d-ac96-774b-bcce-b302099a8057"))
def show(identifier: Annotated[str, typer.Argument(metavar="ID", help="Id of one record, as in an export.")]) -> None:
    """Print one record as JSON."""
    print_json(_store().get(_reader(), identifier).document())


@app.command(
    epilog=examples(
        "freehold recordings export --route support > support.jsonl",
        "freehold recordings export --route support --since 2026-03-01 --until 2026-03-07 --kind answer",
        "freehold recordings export --route support --as chat > train.jsonl",
    )
)
def export(
    route: OneRouteOption,
    since: Annotated[str | None, typer.Option(metavar=DAY, help="First day (UTC).")] = None,
    until: Annotated[str | None, typer.Option(metavar=DAY, help="Last day (UTC).")] = None,
    kind: Annotated[
        ExchangeKind | None, typer.Option(help="What clients got, or what a shadow answered; both when left out.")
    ] = None,
    shape: Annotated[
        Shape, typer.Option("--as", help="Whole records, or OpenAI's chat format for fine-tuning.")
    ] = Shape.RECORD,
) -> None:
    """Write records to stdout, one line of JSON each, oldest first.

    `--as chat` leaves out what teaches nothing: errors, answers without their end, images that were not kept.
    """
    import json
    import sys

    from freehold.core.recording import Filter, as_chat

    wanted = Filter(route, _day(since), _day(until), None if kind is None else kind.value)
    reading = _store().export(_reader(), wanted)
    left_out = 0
    for exchange in reading:
        if shape is Shape.RECORD:
            sys.stdout.write(exchange.to_line().decode())
        elif (chat := as_chat(exchange)) is not None:
            sys.stdout.write(json.dumps(chat, ensure_ascii=False) + "\n")
        else:
            left_out += 1
    hint(f"{reading.count - left_out} record(s) exported.")
    if left_out:
        hint(f"{left_out} left out: no chat with a whole answer.")
    if reading.skipped:
        hint(f"{reading.skipped} line(s) skipped: torn by a crash, or no records.")


@app.command(
    epilog=examples(
        "freehold recordings delete --route support --before 2026-03-01",
        "freehold recordings delete --route support --yes",
    )
)
def delete(
    route: OneRouteOption,
    before: Annotated[
        str | None, typer.Option(metavar=DAY, help="Only the days before this one (UTC); all when left out.")
    ] = None,
    yes: YesOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Delete a route's recordings."""
    store, limit = _store(), _day(before)
    listed = store.matching(route, limit)
    rows = [{"deleted" if yes else "would_delete": str(file.path)} | _row(file) for file in listed]
    if yes:
        store.delete(_reader(), route, limit)
    print_rows(rows, ("deleted" if yes else "would_delete", "records", "size"), form, empty="No such recordings.")
    if rows and not yes:
        hint("Nothing was deleted. Add --yes to do it.")


@app.command(epilog=examples("freehold recordings access", "freehold recordings access --format json"))
def access(form: FormatOption = Format.TABLE) -> None:
    """Show who read or deleted recordings, oldest first."""
    rows = _store().access.entries()
    print_rows(rows, ("time", "who", "action", "route", "count"), form, empty="Nobody has read recordings.")
