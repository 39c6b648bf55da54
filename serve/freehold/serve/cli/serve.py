"""`freehold serve [freehold.yaml | MODEL]`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from freehold.core.cli.options import OfflineOption, examples
from freehold.core.errors import UserError

app = typer.Typer()

EXAMPLES = examples(
    "freehold serve",
    "freehold serve deployment.yaml --check",
    "freehold serve deployment.yaml --workers 4",
    "freehold serve smollm2-135m-instruct --port 8080 --max-model-len 2048",
    "freehold serve qwen3-8b --route gpt-4o-mini --route claude-haiku-4-5",
)


@app.command(epilog=EXAMPLES)
def serve(
    target: Annotated[
        str, typer.Argument(metavar="[CONFIG|MODEL]", help="A YAML file, or one model.")
    ] = "freehold.yaml",
    host: Annotated[str | None, typer.Option(help="Address the gateway listens on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port the gateway listens on; 0 takes a free one.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes that share the port; one fills one core.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name that clients send; with MODEL only.")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, float32, float16 or bfloat16; with MODEL only.")] = None,
    max_model_len: Annotated[int | None, typer.Option(help="Context window in tokens; with MODEL only.")] = None,
    route: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A further name for it, like the closed model's; with MODEL only."),
    ] = None,
    tool_call_parser: Annotated[
        str | None, typer.Option(help="How vLLM reads its tool calls, like hermes; with MODEL only.")
    ] = None,
    accept_parity: Annotated[
        bool, typer.Option("--accept-parity", help="Serve a merged model that has not passed its parity gate.")
    ] = False,
    accept_quality: Annotated[
        bool, typer.Option("--accept-quality", help="Serve a quantized model that has not passed its quality gate.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Check the config and everything it names, then exit.")
    ] = False,
    rehearsal: Annotated[
        bool,
        typer.Option("--rehearsal", help="On loopback, to be evaluated: no policy asks for evaluations yet."),
    ] = False,
    offline: OfflineOption = False,
) -> None:
    """Start engines and put the gateway in front of them.

    With MODEL (a name in the store, a catalogue id, a hub repository or a path), a model that is not in the store yet
    is pulled first.
    """
    from freehold.core.settings import load_settings
    from freehold.serve.deployment import from_file, from_model
    from freehold.serve.running import check_deployment, run_deployment

    settings = load_settings().with_offline(offline).with_rehearsal(rehearsal)
    gateway: dict[str, Any] = {"host": _loopback(host) if rehearsal else host, "port": port, "workers": workers}
    model: dict[str, Any] = {"name": name, "dtype": dtype, "max_model_len": max_model_len}
    model |= {"routes": tuple(route or ()), "tool_call_parser": tool_call_parser}
    accepted: dict[str, Any] = {"accept_parity": accept_parity, "accept_quality": accept_quality}
    if Path(target).suffix in (".yaml", ".yml"):
        config = from_file(Path(target), **gateway, **model, **accepted)
    else:
        config = from_model(target, settings, **gateway, **model, **accepted)
    if check:
        check_deployment(config, settings)
        print(f"{target}: {len(config.models)} model(s), no problems")
        return
    run_deployment(config, settings)


def _loopback(host: str | None) -> str:
    """The address of a rehearsal. Raises UserError for one that others can reach."""
    if host not in (None, "127.0.0.1", "::1", "localhost"):
        raise UserError(
            f"--rehearsal with --host {host}",
            why="what is not evaluated yet is reached from this machine alone",
            next_step="Leave --host out.",
        )
    return host or "127.0.0.1"
