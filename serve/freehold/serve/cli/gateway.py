"""`freehold gateway`."""

from pathlib import Path
from typing import Annotated

import typer

from freehold.core.cli.options import OfflineOption, examples

app = typer.Typer()

EXAMPLES = examples(
    "freehold gateway --config freehold.yaml --engines engines.yaml",
    "freehold gateway --config freehold.yaml --engines engines.yaml --host 0.0.0.0 --port 8080",
)


@app.command(epilog=EXAMPLES)
def gateway(
    config: Annotated[Path, typer.Option(help="The deployment.")] = Path("freehold.yaml"),
    engines: Annotated[Path, typer.Option(help="Where the engines of its models run.")] = Path("engines.yaml"),
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="Must be 1: run more replicas instead.")] = None,
    offline: OfflineOption = False,
) -> None:
    """Run the gateway alone, in front of engines that others start: in a cluster, one of its pods.

    Replicas are found by the host names in the engines file, and asked through their attendants (`freehold engine
    attend`) whether they are ready. Without a ready replica a request is held as long as that file says.
    """
    from freehold.core.settings import load_settings
    from freehold.serve.cluster.engines_file import load_engines
    from freehold.serve.cluster.fronting import run_front
    from freehold.serve.deployment import from_file

    deployment = from_file(config, host=host, port=port, workers=workers)
    run_front(deployment, load_engines(engines, deployment), load_settings().with_offline(offline))
