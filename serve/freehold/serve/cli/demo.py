"""`freehold demo`: the whole road on this machine, with the smallest model of the catalogue."""

from pathlib import Path
from typing import Annotated

import typer

from freehold.core.cli.options import Format, FormatOption, OfflineOption, examples

app = typer.Typer()


@app.command(
    epilog=examples(
        "freehold demo",
        "freehold demo --no-tune --no-quantize",
        "freehold demo --keep",
        'freehold demo --question "Who wrote Hamlet?"',
    )
)
def demo(
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--no-keep", help="Go on serving until Ctrl-C, and print what to try; on a terminal it does."
        ),
    ] = None,
    question: Annotated[str, typer.Option(help="What to ask.")] = "What is the capital of France?",
    tune: Annotated[bool, typer.Option(help="Also teach it facts of an invented company, and ask for one.")] = True,
    small: Annotated[
        bool, typer.Option("--quantize/--no-quantize", help="Also make it smaller and serve that.")
    ] = True,
    evaluate: Annotated[bool, typer.Option(help="Also hold what was tuned against its base.")] = True,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the gateway; 0 takes a free one.")] = 8000,
    home: Annotated[
        Path | None, typer.Option(help="Where what it makes is kept for the next time; by default in the cache.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what it made when it ends.")] = False,
    offline: OfflineOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Take SmolLM2-135M-Instruct through every stage: plan, pull, tune, parity, quantize, quality, evaluate, serve.

    Your own store is left alone: the demo has a data folder of its own, in your cache. No process and no temporary
    file stays behind.
    """
    import sys

    from freehold.core.settings import load_settings
    from freehold.serve.demonstration import Wishes, demonstrate
    from freehold.serve.demonstration.place import demo_home

    wishes = Wishes(
        question=question,
        port=port,
        keep=sys.stdout.isatty() if keep is None else keep,
        tunes=tune,
        quantizes=small,
        evaluates=evaluate,
        form=form,
    )
    with demo_home(home, remove=remove) as place:
        demonstrate(load_settings().with_offline(offline).with_home(place), wishes)
