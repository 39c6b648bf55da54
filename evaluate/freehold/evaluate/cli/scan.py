"""`freehold scan PATH`: which closed models a code base depends on, and what it takes to leave them."""

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.core.cli.options import examples

if TYPE_CHECKING:
    from freehold.evaluate.scan.conclude import Conclusion
    from freehold.evaluate.scan.scanning import Inventory

app = typer.Typer()

INTERVAL_S = 5.0
"""Between two lines of progress."""


class ScanFormat(StrEnum):
    """How the inventory is printed."""

    TABLE = "table"
    JSON = "json"
    SARIF = "sarif"


@app.command(
    epilog=examples(
        "freehold scan .",
        "freehold scan ./service --format json > inventory.json",
        "freehold scan . --format sarif > freehold.sarif",
        "freehold scan . --models my-azure-deployment --include-mentions",
        "freehold scan . --fail-on-found",
    )
)
def scan_command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder or a file.")],
    form: Annotated[ScanFormat, typer.Option("--format", help="How to print the result.")] = ScanFormat.TABLE,
    include_mentions: Annotated[
        bool, typer.Option("--include-mentions", help="Also what comments, docstrings and documents speak of.")
    ] = False,
    fail_on_found: Annotated[
        bool, typer.Option("--fail-on-found", help="Exit with 6 if anything was found, mentions aside.")
    ] = False,
    models: Annotated[
        list[str] | None,
        typer.Option(help="A name that counts as a closed model too: a deployment, an alias. Repeatable."),
    ] = None,
) -> None:
    """Find what a code base depends on of closed models: libraries, clients, endpoints, models, features, variables.

    Nothing is run and nothing leaves the machine. Exit codes: 0 when the scan is done, 2 for a wrong option, 3 when
    there is no such path, 6 with --fail-on-found when something was found.
    """
    from freehold.core.errors import GateError
    from freehold.core.manifest import load_catalogue
    from freehold.core.settings import load_settings
    from freehold.evaluate.scan.conclude import conclude
    from freehold.evaluate.scan.finding import Confidence
    from freehold.evaluate.scan.scanning import ScanRequest, scan

    inventory = scan(ScanRequest(path, tuple(models or ()), include_mentions), _Progress().tell)
    conclusion = conclude(inventory.findings, load_catalogue(load_settings().manifests_root))
    _print(inventory, conclusion, form)
    found = [each for each in inventory.findings if each.confidence is not Confidence.MENTION]
    if fail_on_found and found:
        raise GateError(
            f"{len(found)} dependencies on closed models",
            why=f"the first is {found[0].value} in {found[0].file}:{found[0].line}",
            next_step=f"`freehold scan {path}` lists them.",
        )


def _print(inventory: "Inventory", conclusion: "Conclusion", form: ScanFormat) -> None:
    from importlib.metadata import version

    from freehold.core.cli.output import print_json
    from freehold.evaluate.scan.report import print_inventory, sarif_log, scan_document

    if form is ScanFormat.JSON:
        print_json(scan_document(inventory, conclusion))
    elif form is ScanFormat.SARIF:
        print_json(sarif_log(inventory, version("freehold")))
    else:
        print_inventory(inventory, conclusion)


class _Progress:
    """A line on stderr now and then, while a large tree is read."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def tell(self, done: int, total: int) -> None:
        """Of files."""
        now = time.monotonic()
        if now - self._last >= INTERVAL_S:
            self._last = now
            print(f"Scanning: {done:,} of {total:,} files", file=sys.stderr, flush=True)
