"""Options and texts that commands share, declared once."""

from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    """How a listing is printed."""

    TABLE = "table"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print the result.")]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Open no socket but loopback; fail where the network would be needed.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do it; without this, only print what would be done.")]


def examples(*commands: str) -> str:
    """The closing block of a help text: commands that run as they stand."""
    # \b keeps the line breaks of the paragraph that follows it.
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
