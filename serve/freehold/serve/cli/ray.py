"""`freehold ray up|status|down`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_json, print_rows
from freehold.core.errors import UserError
from freehold.core.progress import hint
from freehold.core.settings import load_settings

app = typer.Typer(
    help="This machine as a node of a Ray cluster, for models with `engine: {kind: ray}`.",
    no_args_is_help=True,
    epilog=examples("freehold ray up", "freehold ray status", "freehold ray down"),
)

EngineOption = Annotated[
    str | None, typer.Option("--engine", help="Engine environment, by name or path; this one by default.")
]
NODE_COLUMNS = ("node", "host", "role", "state", "free")
MODEL_COLUMNS = ("model", "state", "replicas")


@app.command(
    epilog=examples(
        "freehold ray up",
        "freehold ray up --port 6380 --resource lab=2",
        "freehold ray up --address 10.0.0.5:6379 --token-file token",
    )
)
def up(
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Join the cluster of this head; without it, be a head.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="This machine's address in the cluster; Ray finds one.")] = None,
    port: Annotated[int, typer.Option(help="Port of a head; 0 takes a free one.")] = 6379,
    cpus: Annotated[int | None, typer.Option(min=0, help="CPUs to lend; all by default.")] = None,
    gpus: Annotated[int | None, typer.Option(min=0, help="GPUs to lend; all by default.")] = None,
    resource: Annotated[
        list[str] | None, typer.Option(metavar="NAME=AMOUNT", help="A resource of your own, for `engine.resources`.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="The cluster's secret; a head makes one, and `status` says where it is.")
    ] = None,
    engine: EngineOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Start a Ray node from the engine environment. It runs on until `freehold ray down`.

    Ray lets whoever has its token run code on every node: keep the cluster's network to itself.
    """
    from freehold.serve.engines.environments import resolve_engine_python
    from freehold.serve.engines.ray import cluster

    settings = load_settings()
    hint("Starting a Ray node …")
    node = cluster.up(
        settings,
        resolve_engine_python(engine, settings),
        address=address,
        host=host,
        port=port,
        cpus=cpus,
        gpus=gpus,
        resources=_resources(resource or []),
        token_file=token_file,
    )
    row = {"address": node.address, "role": "head" if node.is_head else "worker", "engine": node.python}
    print_rows([row], ("address", "role"), form)
    if node.is_head:
        token = cluster.token_path(settings)
        hint(f"Serve here with `engine: {{kind: ray}}`. Further machines: copy {token}, then there")
        hint(f"  freehold ray up --address {node.address} --token-file token")
        hint(f'and name the head in the config: `engine: {{kind: ray, address: "{node.address}"}}`.')


@app.command(epilog=examples("freehold ray status", "freehold ray status --address 10.0.0.5:6379 --format json"))
def status(
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Head of the cluster; by default that of this machine.")
    ] = None,
    engine: EngineOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show the cluster's nodes, what is free on each, and the models that Freehold runs there."""
    from freehold.serve.engines.environments import resolve_engine_python
    from freehold.serve.engines.ray import cluster

    settings = load_settings()
    found = cluster.status(settings, resolve_engine_python(engine, settings), address)
    token = cluster.token_path(settings)
    found["token_file"] = str(token) if token.is_file() else None
    if form is Format.JSON:
        print_json(found)
        return
    hint(f"Cluster at {found['address']}" + (f", token in {token}" if found["token_file"] else ""))
    print_rows([{**node, "free": _amounts(node["free"])} for node in found["nodes"]], NODE_COLUMNS, form)
    if found["models"]:
        models = [{**model, "replicas": _amounts(model["replicas"])} for model in found["models"]]
        print_rows(models, MODEL_COLUMNS, form)


@app.command(epilog=examples("freehold ray down", "freehold ray down --format json"))
def down(form: FormatOption = Format.TABLE) -> None:
    """End the node that `freehold ray up` started here, and what runs on it. A head takes its cluster with it."""
    from freehold.serve.engines.ray import cluster

    node, ended = cluster.down(load_settings())
    if node is None:
        hint("No node of Freehold's is up on this machine.")
    rows = [{"address": node.address, "role": "head" if node.is_head else "worker", "processes": ended}] if node else []
    print_rows(rows, ("address", "role", "processes"), form)


def _resources(given: list[str]) -> dict[str, float]:
    found = {}
    for text in given:
        name, _, amount = text.partition("=")
        try:
            found[name] = float(amount)
        except ValueError as error:
            raise UserError(
                f"--resource {text}: not NAME=AMOUNT", next_step="For example `--resource lab=2`."
            ) from error
    return found


def _amounts(amounts: dict[str, Any]) -> str:
    named = {
        name: f"{amount / 2**30:.1f} GiB" if "memory" in name else f"{amount:g}" for name, amount in amounts.items()
    }
    return ", ".join(f"{name} {amount}" for name, amount in named.items())
