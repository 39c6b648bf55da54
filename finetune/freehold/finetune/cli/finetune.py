"""`freehold finetune [RECIPE.yaml]`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_rows
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
    form: FormatOption = Format.TABLE,
) -> None:
    """Train an adapter for a model in the store, and store it."""
    from freehold.finetune.recipe_file import read_recipe
    from freehold.finetune.training.run import finetune

    given: dict[str, Any] = {"model": model, "data.train": data}
    built = read_recipe(recipe, {key: value for key, value in given.items() if value}, settings_given or ())
    settings = load_settings()
    outcome = finetune(built, Store(settings.store_root), settings)
    row = {"artifact": outcome.artifact.id, "folder": str(outcome.folder)} | outcome.metrics
    print_rows([row], tuple(row), form)
