"""`freehold batch INPUT`, and `freehold batch list|show|cancel`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from freehold.core.cli.options import Format, FormatOption, OfflineOption, examples
from freehold.core.cli.output import print_fields, print_json, print_rows
from freehold.core.progress import hint
from freehold.core.settings import load_settings

if TYPE_CHECKING:
    from openai.types import Batch

    from freehold.serve.batches.client.gateway import RemoteBatches

RUN = "run"


class _InputOrCommand(typer.core.TyperGroup):
    """`freehold batch INPUT` is `freehold batch run INPUT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "--show-completion"):
            args = [RUN, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_InputOrCommand,
    help="Offline inference: a file of requests, answered on what a gateway's models have to spare.\n\n"
    "`freehold batch INPUT` is short for `freehold batch run INPUT`.",
    no_args_is_help=True,
    epilog=examples(
        "freehold batch questions.jsonl --output answers.jsonl",
        "freehold batch questions.jsonl --output answers.jsonl --resume",
        "freehold batch list",
    ),
)

COLUMNS = ("id", "status", "endpoint", "total", "completed", "failed", "created")

UrlOption = Annotated[
    str, typer.Option(envvar="FREEHOLD_URL", help="The gateway's API, with its /v1.", show_envvar=True)
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        envvar="FREEHOLD_API_KEY",
        help="Key of that gateway; better by the environment than here.",
        show_envvar=True,
    ),
]
BatchArgument = Annotated[str, typer.Argument(metavar="ID", help="An id from `freehold batch list`.")]
DEFAULT_URL = "http://127.0.0.1:8000/v1"


@contextmanager
def _remote(url: str, key: str | None, *, offline: bool = False) -> "Iterator[RemoteBatches]":
    from freehold.serve.batches.client.gateway import RemoteBatches

    remote = RemoteBatches(url, key, offline=offline or load_settings().offline)
    try:
        yield remote
    finally:
        remote.close()


@app.command(
    RUN,
    epilog=examples(
        "freehold batch questions.jsonl --output answers.jsonl",
        "freehold batch questions.jsonl --output answers.jsonl --model smollm2-135m-instruct",
        "freehold batch questions.jsonl --output answers.jsonl --resume",
    ),
)
def run(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Requests in OpenAI's form, one a line.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the answers go, one a line.")],
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = None,
    model: Annotated[str | None, typer.Option(help="Ask this model, whatever the lines name.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Path of every line; that of the first by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what broke off, here or there.")] = False,
    offline: OfflineOption = False,
) -> None:
    """Send a file of requests, follow them, and write the answers in the order of the requests.

    Lines that were not answered go into a file beside it (answers.errors.jsonl for answers.jsonl), and the command then
    ends with status 1. An end of this command ends no batch.
    """
    from freehold.serve.batches.client.journey import Journey

    with _remote(url, key, offline=offline) as remote:
        batch = Journey(source, output, model, endpoint, resume).run(remote)
    counts = batch.request_counts
    hint(f"{batch.id}: {counts.completed if counts else 0} answers")
    print(output)


@app.command("list", epilog=examples("freehold batch list", "freehold batch list --limit 5 --format json"))
def list_batches(
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    form: FormatOption = Format.TABLE,
) -> None:
    """Batches of the key's team, newest first."""
    with _remote(url, key) as remote:
        batches = remote.all(limit)
    rows = [batch.model_dump() if form is Format.JSON else _row(batch) for batch in batches]
    print_rows(rows, COLUMNS, form, empty="No batches.")


@app.command(
    "show",
    epilog=examples(
        "freehold batch show batch_5f0c1d2e3a4b5c6d7e8f9a0b",
        "freehold batch show batch_5f0c1d2e3a4b5c6d7e8f9a0b --format json",
    ),
)
def show_batch(
    batch_id: BatchArgument, url: UrlOption = DEFAULT_URL, key: KeyOption = None, form: FormatOption = Format.TABLE
) -> None:
    """One batch: how far it is, and its files."""
    with _remote(url, key) as remote:
        _print(remote.get(batch_id), form)


@app.command("cancel", epilog=examples("freehold batch cancel batch_5f0c1d2e3a4b5c6d7e8f9a0b"))
def cancel_batch(
    batch_id: BatchArgument, url: UrlOption = DEFAULT_URL, key: KeyOption = None, form: FormatOption = Format.TABLE
) -> None:
    """Stop a batch; it keeps the answers that it has."""
    with _remote(url, key) as remote:
        _print(remote.cancel(batch_id), form)


def _print(batch: "Batch", form: Format) -> None:
    if form is Format.JSON:
        print_json(batch.model_dump())
        return
    files = {"input": batch.input_file_id, "output": batch.output_file_id, "errors": batch.error_file_id}
    print_fields(_row(batch) | files)
    for error in (batch.errors.data if batch.errors else None) or []:
        hint(f"{f'Line {error.line}: ' if error.line else ''}{error.message}")


def _row(batch: "Batch") -> dict[str, Any]:
    from datetime import UTC, datetime

    counts = batch.request_counts
    return {
        "id": batch.id,
        "status": batch.status,
        "endpoint": batch.endpoint,
        "total": counts.total if counts else 0,
        "completed": counts.completed if counts else 0,
        "failed": counts.failed if counts else 0,
        "created": datetime.fromtimestamp(batch.created_at, UTC).strftime("%Y-%m-%d %H:%M"),
    }
