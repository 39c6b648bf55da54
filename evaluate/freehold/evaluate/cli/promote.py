"""`freehold promote ARTIFACT --run FOLDER`."""

from pathlib import Path
from typing import Annotated

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_rows
from freehold.core.settings import load_settings
from freehold.core.store import Store

app = typer.Typer()


@app.command(
    epilog=examples(
        "freehold promote support-bot --run runs/support",
        "freehold promote support-bot --run runs/support --run runs/safety --suite support --suite safety",
    )
)
def promote(
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", help="Artifact id, a prefix of one, or a name.")],
    run: Annotated[list[Path], typer.Option(metavar="FOLDER", help="Of a run of `freehold evaluate`.")],
    suite: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A suite that must be among them.")] = None,
    accept_slices: Annotated[
        bool, typer.Option("--accept-slices", help="Also where it can replace the baseline for some slices only.")
    ] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Make the verdicts of evaluations part of an artifact's lineage, unless one of them says no.

    A deployment may then ask for them: `requires: [support]` at the model.
    """
    from freehold.core.policy import policies_here
    from freehold.evaluate.promoting import promote as promoted

    settings = load_settings()
    store, policies = Store(settings.store_root), policies_here(settings)
    done = promoted(store, store.get(artifact), run, suite or (), accept_slices=accept_slices, policies=policies)
    rows = [
        {"artifact": done.id, "suite": one.suite, "baseline": one.baseline, "decision": one.decision}
        for one in done.lineage.evaluations
    ]
    print_rows(rows, ("artifact", "suite", "baseline", "decision"), form)
