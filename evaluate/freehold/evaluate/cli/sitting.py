"""One sitting of a run, for every command that evaluates: its folder, its progress, what came of it."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.core.cli.options import Format
from freehold.core.errors import UserError
from freehold.core.progress import hint
from freehold.core.settings import Settings

if TYPE_CHECKING:
    from freehold.evaluate.running.run import Finished
    from freehold.evaluate.suite.loading import Loaded


@dataclass(frozen=True)
class Sitting:
    """Where a run is, and how it goes on."""

    out: Path | None = None
    """A new folder."""
    resume: Path | None = None
    """The folder of a run that was begun."""
    until_spent: bool = False
    uses_cache: bool = True


def run_suite(loaded: "Loaded", name: str | None, settings: Settings, sitting: Sitting, form: Format) -> None:
    """Run it and print what came of it; `name` is what to type to go on, by default the suite in the run's folder."""
    from freehold.evaluate.cli.reporting import report_run
    from freehold.evaluate.running.cache import Cache
    from freehold.evaluate.running.folder import RunFolder
    from freehold.evaluate.running.run import Options, run

    root = settings.home / "evaluations"
    stamp = f"{datetime.now():%Y%m%d-%H%M%S}"
    usual = root / "runs" / f"{loaded.suite.name}-{stamp}"
    place = RunFolder.open(sitting.resume) if sitting.resume else RunFolder.create(sitting.out or usual)
    options = Options(Cache(root / "cache") if sitting.uses_cache else None, sitting.until_spent)
    tell_what_shows(loaded)
    hint(f"The run is in {place.path}.")
    go_on = f"To go on: freehold evaluate {name or place.suite} --resume {place.path}"
    try:
        finished = asyncio.run(run(loaded, place, options))
    except asyncio.CancelledError as error:
        hint(go_on)
        raise KeyboardInterrupt from error
    except BaseException:
        if place.journal.is_file():
            hint(go_on)
        raise
    _tell(finished, loaded, go_on)
    if not finished.is_whole:
        raise KeyboardInterrupt
    report_run(place.path, form)


def _tell(finished: "Finished", loaded: "Loaded", go_on: str) -> None:
    outcomes = finished.outcomes
    spent = f"{finished.spent.tokens:,} tokens"
    if any(endpoint.prices for endpoint in loaded.suite.endpoints().values()):
        spent += f", {finished.spent.money:.4f} {loaded.suite.currency}"
    kept = f", {finished.from_cache} from earlier runs" if finished.from_cache else ""
    hint(f"{outcomes['answered']} answered{kept}, {outcomes['refused']} refused, {outcomes['failed']} failed; {spent}.")
    if outcomes["skipped"]:
        hint(f"{outcomes['skipped']} skipped, as the budget was spent. {go_on} with a larger one.")
    elif not finished.is_whole or outcomes["failed"]:
        hint(go_on)


def tell_what_shows(loaded: "Loaded") -> None:
    """Said before anybody pays: how small a difference so many prompts can show."""
    from freehold.evaluate.statistics.power import EXPECTED_DISAGREEMENT, visible_difference

    count = len(loaded.prompts)
    hint(
        f"{count} prompts show differences of {100 * visible_difference(count):.1f} points or more, four times in "
        f"five, where {EXPECTED_DISAGREEMENT:.0%} of them come out differently; slices show larger ones only."
    )


def targets_of(given: list[str]) -> dict[str, str]:
    """`NAME=URL` words as base URLs by name. Raises UserError."""
    found = {}
    for text in given:
        name, sign, url = text.partition("=")
        if not (name and sign and url):
            raise UserError(
                f"--target {text} is no target", next_step="Write NAME=URL, as small=http://127.0.0.1:8000."
            )
        found[name] = url
    return found
