"""`freehold dataset check|show`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.core.cli.options import Format, FormatOption, OfflineOption, examples

if TYPE_CHECKING:
    from freehold.core.settings import Settings
    from freehold.core.store import Artifact

app = typer.Typer(
    help="Training data: every problem with its line, and what would be learnt of it.",
    no_args_is_help=True,
    epilog=examples(
        "freehold dataset check train.jsonl --eval eval.jsonl --model smollm2-135m-instruct",
        "freehold dataset show train.jsonl --mask --model smollm2-135m-instruct",
    ),
)


class DataFormat(StrEnum):
    """How lines are written."""

    AUTO = "auto"
    CHAT = "chat"
    ALPACA = "alpaca"
    SHAREGPT = "sharegpt"
    COMPLETION = "completion"
    TEXT = "text"
    PREFERENCE = "preference"
    KTO = "kto"


class OverLong(StrEnum):
    """What becomes of examples that are too long."""

    REFUSE = "refuse"
    SPLIT = "split"


SourcesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...", help="Files (.jsonl, .json, .txt, .parquet, .csv), datasets:NAME[:SPLIT], recorded:ROUTE."
    ),
]
ModelOption = Annotated[str | None, typer.Option(help="Artifact in the store whose tokenizer and template decide.")]
DataFormatOption = Annotated[DataFormat, typer.Option("--data-format", help="How lines are written; auto looks.")]


@app.command(
    epilog=examples(
        "freehold dataset check train.jsonl",
        "freehold dataset check train.jsonl --eval eval.jsonl --model smollm2-135m-instruct --format json",
        "freehold dataset check 'recorded:support?since=2026-03-01' --model smollm2-135m-instruct",
    )
)
def check(
    sources: SourcesArgument,
    evaluation: Annotated[
        list[str] | None, typer.Option("--eval", help="Evaluation data; leakage into it is looked for. Repeatable.")
    ] = None,
    model: ModelOption = None,
    data_format: DataFormatOption = DataFormat.AUTO,
    max_length: Annotated[
        int | None, typer.Option(min=1, help="Longest example in tokens; the model's context when left out.")
    ] = None,
    over_long: Annotated[OverLong, typer.Option(help="What becomes of longer examples.")] = OverLong.REFUSE,
    epochs: Annotated[float, typer.Option(min=0, help="Passes over the data, for the estimate.")] = 3.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples per step, for the estimate.")] = 8,
    price_per_hour: Annotated[float | None, typer.Option(min=0, help="Of the machine, for the estimate.")] = None,
    offline: OfflineOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Report every problem of training data with its line; exit with 2 if there is an error.

    With --model: what is too long, how long examples are, what three of them teach, and what a run would take.
    """
    from freehold.core.errors import UserError
    from freehold.core.settings import load_settings
    from freehold.finetune.checking.report import CheckRequest, check_data
    from freehold.finetune.checking.report_text import print_report, report_document

    settings = load_settings().with_offline(offline)
    request = CheckRequest(
        sources=tuple(sources),
        evaluation=tuple(evaluation or ()),
        artifact=_artifact(model, settings),
        data_format=data_format.value,
        max_length=max_length,
        over_long=over_long.value,
        epochs=epochs,
        batch_size=batch_size,
        price_per_hour=price_per_hour,
    )
    report = check_data(request, settings)
    if form is Format.JSON:
        from freehold.core.cli.output import print_json

        print_json(report_document(report))
    else:
        print_report(report)
    if report.errors:
        raise UserError(
            f"{len(report.errors)} errors in the data", next_step="Correct or remove these lines; a run would refuse."
        )


@app.command(
    epilog=examples(
        "freehold dataset show train.jsonl",
        "freehold dataset show train.jsonl --mask --model smollm2-135m-instruct --count 10",
    )
)
def show(
    sources: SourcesArgument,
    mask: Annotated[bool, typer.Option("--mask", help="Show the tokens, and which of them are learnt.")] = False,
    model: ModelOption = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many examples.")] = 3,
    line: Annotated[int | None, typer.Option(min=1, help="Begin with this line.")] = None,
    data_format: DataFormatOption = DataFormat.AUTO,
    offline: OfflineOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show examples as they are understood; with --mask, as the model would learn them."""
    from freehold.core.errors import UserError
    from freehold.core.settings import load_settings
    from freehold.finetune.checking.showing import first_examples, print_examples, print_masks

    settings = load_settings().with_offline(offline)
    artifact = _artifact(model, settings)
    if mask and artifact is None:
        raise UserError("--mask needs a model", why="each has its own template", next_step="Add `--model ARTIFACT`.")
    found = first_examples(sources, data_format.value, count, line or 1, settings)
    if mask and artifact is not None:
        print_masks(artifact, found, as_json=form is Format.JSON)
    else:
        print_examples(found, as_json=form is Format.JSON)


def _artifact(model: str | None, settings: "Settings") -> "Artifact | None":
    from freehold.core.store import Store

    return None if model is None else Store(settings.store_root).get(model)
