"""`freehold evaluate [check] SUITE.yaml`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.core.cli.options import Format, FormatOption, OfflineOption, examples
from freehold.core.cli.output import print_json, print_rows
from freehold.core.errors import UserError
from freehold.core.progress import hint
from freehold.core.settings import load_settings
from freehold.evaluate.cli.sitting import Sitting, run_suite, targets_of, tell_what_shows

if TYPE_CHECKING:
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
    overrides = Overrides(targets_of(target or []), budget_tokens, budget_money)
    loaded = load_suite(Path(words[-1]), overrides, settings)
    if only_check:
        _show_check(loaded, words[-1], form)
    elif dry_run:
        _show_plan(loaded, form)
    else:
        sitting = Sitting(out, resume, until_spent=until_spent, uses_cache=not no_cache)
        run_suite(loaded, words[-1], settings, sitting, form)


def _show_check(loaded: "Loaded", name: str, form: Format) -> None:
    suite = loaded.suite
    facts = {"suite": suite.name, "prompts": len(loaded.prompts), "targets": list(suite.names)}
    if form is Format.JSON:
        print_json(facts | {"scorers": list(suite.scorers)})
        return
    print(
        f"{name} is right: {len(loaded.prompts)} prompts, {len(suite.scorers)} scorer(s), targets: "
        f"{', '.join(suite.names)}."
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
    tell_what_shows(loaded)
    if suite.request.max_tokens is None:
        hint("Without request.maxTokens nobody knows how long answers get: where it is missing, prompts alone count.")
