"""`freehold finetune [RECIPE.yaml]`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_fields, print_json
from freehold.core.errors import GateError
from freehold.core.memory import take_large_pages
from freehold.core.quiet import quiet_libraries
from freehold.core.settings import load_settings
from freehold.core.store import Store

app = typer.Typer()

EXAMPLES = examples(
    "freehold finetune --model smollm2-135m-instruct --data facts.jsonl",
    "freehold finetune recipe.yaml --dry-run",
    "freehold finetune recipe.yaml --set training.epochs=5 --set lora.rank=32",
)


@app.command(epilog=EXAMPLES)
def finetune(
    recipe: Annotated[Path | None, typer.Argument(metavar="[RECIPE.yaml]", help="The recipe file.")] = None,
    model: Annotated[str | None, typer.Option(help="Artifact to tune: `model` of the recipe.")] = None,
    data: Annotated[list[str] | None, typer.Option(help="Training data, may be repeated: `data.train`.")] = None,
    settings_given: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any field, as `training.epochs=5`.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of what comes of it: `output.name` of the recipe.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and print the plan, no more.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of this recipe.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Begin again, without earlier checkpoints.")] = False,
    parity: Annotated[
        bool, typer.Option(help="Serve the result with the real engine afterwards, and judge that it is the same.")
    ] = True,
    form: FormatOption = Format.TABLE,
) -> None:
    """Train an adapter for a model in the store, and store it.

    What a flag or --set says wins over the recipe. Data and memory are checked before the first step. At the end the
    parity gate judges it; one that does not pass is kept, is not served, and ends the command with 6.
    """
    from freehold.finetune.recipe_file import read_recipe

    take_large_pages()
    with quiet_libraries():  # torchao tells of kernels that it has for other machines
        from freehold.finetune.parity.judge import judge_parity
        from freehold.finetune.training.run import finetune, prepare

    given: dict[str, Any] = {"model": model, "data.train": data, "output.name": name}
    built = read_recipe(recipe, {key: value for key, value in given.items() if value}, settings_given or ())
    settings = load_settings()
    store = Store(settings.store_root)
    if dry_run:
        facts = prepare(built, store, settings).facts
        print_json(facts) if form is Format.JSON else print_fields(facts)
        return
    outcome = finetune(built, store, settings, resume=resume, restart=restart)
    fields = {"artifact": outcome.artifact.id, "run": str(outcome.folder)} | outcome.metrics
    verdict = judge_parity(store, outcome.artifact, settings) if parity else None
    fields["parity"] = "not judged" if verdict is None else "passed" if verdict.passed else "failed"
    if verdict is not None and "tuned_mean_nats" in verdict.measurements:
        fields["parity_nats"] = round(verdict.measurements["tuned_mean_nats"], 6)
    print_json(fields) if form is Format.JSON else print_fields(fields)
    if verdict is not None and not verdict.passed:
        raise GateError(
            f"{outcome.artifact.id} did not pass the parity gate",
            why="; ".join(verdict.reasons),
            next_step=f"Correct the cause and run `freehold parity {outcome.artifact.id}`.",
        )
