"""`freehold merge ADAPTER`."""

from typing import Annotated

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_fields, print_json
from freehold.core.progress import human_bytes
from freehold.core.quiet import quiet_libraries
from freehold.core.settings import load_settings
from freehold.core.store import Store

app = typer.Typer()


@app.command(epilog=examples("freehold merge support-bot", "freehold merge support-bot --name support-bot-whole"))
def merge(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="Artifact id, a prefix of one, or a name.")],
    name: Annotated[str | None, typer.Option(help="Name of the merged model; `<adapter>-merged` by default.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Merge an adapter into its base: one model in the store that needs no adapter.

    The merged model must say what base and adapter said together, before and after it is written; else nothing is
    stored and the command ends with 6.
    """
    with quiet_libraries():  # torchao tells of kernels that it has for other machines
        from freehold.finetune.output.merge import merge

    store = Store(load_settings().store_root)
    merged = merge(store.get(adapter), store, name=name)
    fields = {"artifact": merged.id, "size": human_bytes(merged.size_bytes), "path": str(merged.path)}
    print_json(fields) if form is Format.JSON else print_fields(fields)
