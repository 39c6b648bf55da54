"""`freehold pull MODEL[@REVISION]`."""

from pathlib import Path
from typing import Annotated

import typer

from freehold.core.cli.options import Format, FormatOption, OfflineOption, examples
from freehold.core.cli.output import print_rows
from freehold.core.progress import human_bytes
from freehold.core.settings import load_settings
from freehold.core.store import Store

app = typer.Typer()

EXAMPLES = examples(
    "freehold pull smollm2-135m-instruct",
    "freehold pull Qwen/Qwen3-8B@main",
    "freehold pull ./my-finetuned-model --name support-bot",
    "freehold pull smollm2-135m-instruct --locked --offline",
)


@app.command(epilog=EXAMPLES)
def pull(
    model: Annotated[
        str, typer.Argument(metavar="MODEL[@REVISION]", help="Catalogue id, hub repository owner/name, or ./path.")
    ],
    name: Annotated[str | None, typer.Option(help="Name of the artifact; derived from MODEL by default.")] = None,
    gguf: Annotated[str | None, typer.Option(help="Which GGUF file of a repository that holds several.")] = None,
    locked: Annotated[bool, typer.Option("--locked", help="Refuse any difference from the lock.")] = False,
    lock_file: Annotated[Path, typer.Option(help="Where the resolved files are recorded.")] = Path("freehold.lock"),
    offline: OfflineOption = False,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Take pickled weights; loading them can run any code.")
    ] = False,
    allow_remote_code: Annotated[
        bool, typer.Option("--allow-remote-code", help="Take and run the repository's own Python code.")
    ] = False,
    allow_unverified_tokenizer: Annotated[
        bool, typer.Option("--allow-unverified-tokenizer", help="Import a GGUF with an unknown pre-tokenizer.")
    ] = False,
    probe: Annotated[bool, typer.Option(help="Compute the golden-probe reference for `freehold serve`.")] = True,
    form: FormatOption = Format.TABLE,
) -> None:
    """Pull a model into the store: resolve, verify while downloading, lock.

    An interrupted pull goes on where it stopped when the same command runs again.
    """
    from freehold.core.hub.pull import PullOptions, pull
    from freehold.core.hub.selection import Allowed

    settings = load_settings().with_offline(offline)
    options = PullOptions(
        lock_file=lock_file,
        locked=locked,
        name=name,
        gguf=gguf,
        allowed=Allowed(pickle=allow_pickle, remote_code=allow_remote_code),
        allow_unverified_tokenizer=allow_unverified_tokenizer,
        probe=probe,
    )
    artifact = pull(model, options, settings, Store(settings.store_root))
    row = {
        "id": artifact.id,
        "size": human_bytes(artifact.size_bytes),
        "path": str(artifact.path),
        "size_bytes": artifact.size_bytes,
        "digest": artifact.lineage.digest,
    }
    print_rows([row], ("id", "size", "path"), form)
