"""`freehold mirror`: the hub, inside your walls."""

import os
import socket
from typing import Annotated

import typer

from freehold.core.cli.options import examples
from freehold.core.errors import UserError
from freehold.core.progress import hint
from freehold.core.settings import load_settings
from freehold.core.store import Store

app = typer.Typer()

EXAMPLES = examples(
    "freehold mirror",
    "freehold mirror --host 0.0.0.0 --port 8090 --token-env MIRROR_TOKEN",
    "HF_ENDPOINT=http://127.0.0.1:8090 hf download freehold/smollm2-135m-instruct",
)
EVERYWHERE = {"0.0.0.0", "::"}
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@app.command(epilog=EXAMPLES)
def mirror(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8090,
    token_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable with a token that clients must send.")
    ] = None,
) -> None:
    """Serve the store with the Hub's own API, read-only: huggingface_hub, transformers and vLLM pull from it.

    Every artifact is offered as freehold/NAME; one that was pulled from a hub unchanged also under its original id
    and commit.
    """
    import asyncio

    from freehold.serve.mirror.app import build_app
    from freehold.serve.mirror.running import run_until_stopped

    store = Store(load_settings().store_root)
    token = _token(token_env)
    if token is None and host not in LOOPBACK:
        hint("No --token-env was given: whoever reaches this address can read every model.")
    asyncio.run(run_until_stopped(build_app(store, token), host, port, lambda url: _announce(url, store)))


def _token(name: str | None) -> str | None:
    if name is None:
        return None
    token = os.environ.get(name)
    if not token:
        raise UserError(
            f"The environment variable {name} is empty",
            why="--token-env names it as the token's place",
            next_step=f"Run `export {name}=$(openssl rand -hex 32)` first.",
        )
    return token


def _announce(url: str, store: Store) -> None:
    scheme, _, address = url.partition("://")
    host, _, port = address.rpartition(":")
    reachable = socket.gethostname() if host.strip("[]") in EVERYWHERE else host
    hint(f"Serving {len(store.artifacts())} artifact(s) from {store.root}. Clients need one line:")
    print(f"export HF_ENDPOINT={scheme}://{reachable}:{port}", flush=True)
