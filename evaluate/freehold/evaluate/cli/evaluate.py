"""`freehold evaluate [check] SUITE.yaml`."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.core.cli.options import Format, FormatOption, OfflineOption, examples
from freehold.core.cli.output import print_json, print_rows
from freehold.core.errors import UserError
from freehold.core.progress import hint
from freehold.core.settings import Settings, load_settings

if TYPE_CHECKING:
    from freehold.evaluate.running.run import Finished
    from freehold.evaluate.suite.loading import Loaded

app = typer.Typer()

EXAMPLES = examples(
    "freehold evaluate check suite.yaml",
    "freehold evaluate suite.yaml --dry-run",
    "freehold evaluate suite.yaml --target small=http://127.0.0.1:8000 --budget-tokens 200000",
    "freehold evaluate suite.yaml --resume runs/support",
)


@app.command(epilog=EXAMPLES)
def evaluate(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[check] SUITE.yaml", help="The suite; `check` lists every problem and asks nothing."),
    ],
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=URL", help="Where a target is; one that the suite lacks has the model NAME."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, print the plan, ask nothing.")] = False,
    resume: Annotated[Path | None, typer.Option(metavar="DIR", help="Go on with the run in this folder.")] = None,
    budget_tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens: `budget.tokens`.")] = None,
    budget_money: Annotated[float | None, typer.Option(min=0, help="Most money: `budget.money`.")] = None,
    until_spent: Annotated[
        bool, typer.Option("--until-spent", help="Start although the budget may not suffice; skip what is left.")
    ] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Ask again what an earlier run was answered.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="A new folder for the run.")] = None,
    offline: OfflineOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Ask targets a suite's prompts and score their answers.

    Ctrl-C, a crash or a spent budget lose nothing: --resume goes on, and what was answered is not asked again. With
    other scorers, it scores anew what is there.
    """
    from freehold.evaluate.suite.loading import Overrides, load_suite

    settings = load_settings().with_offline(offline)
    only_check = len(words) == 2 and words[0] == "check"
    if len(words) > 1 + only_check:
        raise UserError(f"{' '.join(words)!r} is more than one suite", next_step="freehold evaluate [check] SUITE.yaml")
    if out and resume:
        raise UserError("--out makes a new run and --resume goes on with one", next_step="Leave one of them out.")
    overrides = Overrides(_targets(target or []), budget_tokens, budget_money)
    loaded = load_suite(Path(words[-1]), overrides, settings)
    if only_check:
        _show_check(loaded, words[-1], form)
    elif dry_run:
        _show_plan(loaded, form)
    else:
        _run(loaded, words[-1], settings, out, resume, until_spent, no_cache, form)


def _run(
    loaded: "Loaded",
    name: str,
    settings: Settings,
    out: Path | None,
    resume: Path | None,
    until_spent: bool,
    no_cache: bool,
    form: Format,
) -> None:
    from freehold.evaluate.cli.reporting import report_run
    from freehold.evaluate.running.cache import Cache
    from freehold.evaluate.running.folder import RunFolder
    from freehold.evaluate.running.run import Options, run

    root = settings.home / "evaluations"
    stamp = f"{datetime.now():%Y%m%d-%H%M%S}"
    place = (
        RunFolder.open(resume) if resume else RunFolder.create(out or root / "runs" / f"{loaded.suite.name}-{stamp}")
    )
    options = Options(None if no_cache else Cache(root / "cache"), until_spent)
    _tell_what_shows(loaded)
    hint(f"The run is in {place.path}.")
    go_on = f"To go on: freehold evaluate {name} --resume {place.path}"
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


def _show_check(loaded: "Loaded", name: str, form: Format) -> None:
    suite = loaded.suite
    facts = {"suite": suite.name, "prompts": len(loaded.prompts), "targets": list(suite.targets)}
    if form is Format.JSON:
        print_json(facts | {"scorers": list(suite.scorers)})
        return
    print(
        f"{name} is right: {len(loaded.prompts)} prompts, {len(suite.scorers)} scorer(s), targets: "
        f"{', '.join(suite.targets)}."
    )


def _show_plan(loaded: "Loaded", form: Format) -> None:
    from freehold.evaluate.running.estimate import estimate
    from freehold.evaluate.targets.amounts import Amount

    suite = loaded.suite
    priced = any(endpoint.prices for endpoint in suite.endpoints().values())
    expected = estimate(suite, loaded.prompts)
    rows = [
        {
            "target": name,
            "answers": len(loaded.prompts) * suite.samples if name in suite.targets else None,
            "at_most_tokens": amount.tokens,
            "at_most_money": round(amount.money, 6) if priced else None,
        }
        for name, amount in expected.items()
    ]
    print_rows(rows, ("target", "answers", "at_most_tokens", "at_most_money"), form)
    whole = sum(expected.values(), Amount())
    hint(
        f"In all at most about {whole.tokens:,} tokens" + (f", {whole.money:.4f} {suite.currency}." if priced else ".")
    )
    _tell_what_shows(loaded)
    if suite.request.max_tokens is None:
        hint("Without request.maxTokens nobody knows how long answers get: where it is missing, prompts alone count.")


def _tell_what_shows(loaded: "Loaded") -> None:
    """Said before anybody pays: how small a difference so many prompts can show."""
    from freehold.evaluate.statistics.power import EXPECTED_DISAGREEMENT, visible_difference

    count = len(loaded.prompts)
    hint(
        f"{count} prompts show differences of {100 * visible_difference(count):.1f} points or more, four times in "
        f"five, where {EXPECTED_DISAGREEMENT:.0%} of them come out differently; slices show larger ones only."
    )


def _targets(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, sign, url = text.partition("=")
        if not (name and sign and url):
            raise UserError(
                f"--target {text} is no target", next_step="Write NAME=URL, as small=http://127.0.0.1:8000."
            )
        found[name] = url
    return found
