"""`freehold`: finds the verbs, runs one, turns our errors into one line, a hint and an exit code."""

import os
import sys
import traceback
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated

import typer

from freehold.core.cli.options import examples
from freehold.core.errors import FreeholdError

GROUP = "freehold.commands"
DEBUG_VARIABLE = "FREEHOLD_DEBUG"


def build_app() -> typer.Typer:
    """The root application with every installed verb. Imports no torch and no web framework."""
    root = typer.Typer(
        name="freehold",
        help="Own the model you depend on: pull, fine-tune, quantize, evaluate and serve open-weight models.",
        epilog=examples("freehold demo", "freehold pull smollm2-135m-instruct", "freehold serve smollm2-135m-instruct"),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    root.callback()(_root_options)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        _register(root, entry)
    return root


def main() -> None:
    """Console entry point. Catches our own tree only; anything else is a bug and shows its traceback."""
    try:
        build_app()()
    except FreeholdError as error:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        print(f"freehold: {error}", file=sys.stderr)
        if error.next_step:
            print(error.next_step, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("freehold: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader left (`freehold store list | head`): that is no error, but Python would print one at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _register(root: typer.Typer, entry: EntryPoint) -> None:
    verb: typer.Typer = entry.load()
    if verb.registered_callback is None and len(verb.registered_commands) == 1 and not verb.registered_groups:
        (command,) = verb.registered_commands
        command.name = entry.name
        root.registered_commands.append(command)
    else:
        root.add_typer(verb, name=entry.name)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"freehold {version('freehold')}")
        raise typer.Exit


def _root_options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Own the model you depend on."""
