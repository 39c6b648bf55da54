"""The command reference, as Markdown, from the commands themselves: `python -m freehold.core.cli.reference FILE`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from freehold.core.cli.main import build_app

WIDTH = 100
HEADING = "# Commands\n\nGenerated from the commands' own `--help` by `make docs`; do not edit.\n"


def command_reference() -> str:
    """Every command's help, a section each, in the order that help lists them."""
    root = typer.main.get_command(build_app())
    sections = [f"## `{name}`\n\n```text\n{text}\n```\n" for name, text in _helps(root, "freehold", None)]
    return "\n".join([HEADING, *sections])


def _helps(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
    context = typer.Context(command, info_name=name.split()[-1], parent=parent, terminal_width=WIDTH)
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield name, text.strip()
    for child in getattr(command, "commands", {}).values():
        if child.hidden:  # an older name of another
            continue
        yield from _helps(child, f"{name} {child.name}", context)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(command_reference())
