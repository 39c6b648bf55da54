"""`freehold deploy values|check|schema|images|artifacts`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_rows
from freehold.core.progress import hint, human_bytes
from freehold.core.settings import load_settings

if TYPE_CHECKING:
    from freehold.serve.config import DeploymentConfig
    from freehold.serve.deploying.chart import Chart

app = typer.Typer(
    help="Values of the Helm chart: written, checked, and what they bring into a cluster.",
    no_args_is_help=True,
    epilog=examples(
        "freehold deploy values freehold.yaml > values.yaml",
        "freehold deploy check values.yaml",
        "freehold deploy images --file values.yaml",
    ),
)

ChartOption = Annotated[
    Path | None, typer.Option("--chart", help="The chart's folder; by default the one of this installation.")
]
ValuesOption = Annotated[Path, typer.Option("--file", "-f", help="The chart's values.")]


@app.command(
    epilog=examples(
        "freehold deploy values freehold.yaml > values.yaml",
        "freehold deploy values freehold.yaml --profile amd --lock-file freehold.lock > values.yaml",
    )
)
def values(
    config: Annotated[Path, typer.Argument(metavar="[CONFIG]", help="The deployment.")] = Path("freehold.yaml"),
    profile: Annotated[str, typer.Option(help="Accelerators of every engine: nvidia, amd, intel, cpu …")] = "nvidia",
    lock_file: Annotated[Path, typer.Option(help="Locks of models that the store does not hold.")] = Path(
        "freehold.lock"
    ),
) -> None:
    """Print values for the chart: the deployment, an engine per model, and each artifact with its commit and lock.

    What only means something on one machine is left out, and said on stderr.
    """
    from freehold.serve.deploying.writing import write_values

    print(write_values(config, lock_file, load_settings(), profile, hint), end="")


@app.command(
    epilog=examples("freehold deploy check values.yaml", "freehold deploy check values.yaml --chart helm/freehold")
)
def check(
    file: Annotated[Path, typer.Argument(metavar="VALUES", help="The chart's values.")],
    chart: ChartOption = None,
) -> None:
    """List everything that is wrong with the values at once, each problem with its path."""
    _, _, config = _checked(file, chart)
    print(f"{file}: {len(config.models)} model(s), no problems")


@app.command(epilog=examples("freehold deploy schema --chart helm/freehold > helm/freehold/values.schema.json"))
def schema(chart: ChartOption = None) -> None:
    """Print the chart's values.schema.json: its own keys, with the deployment's under `deployment`."""
    import json

    from freehold.serve.deploying.chart import find_chart
    from freehold.serve.deploying.schema import values_schema

    print(json.dumps(values_schema(find_chart(chart).schema), indent=2, ensure_ascii=False))


@app.command(
    epilog=examples("freehold deploy images -f values.yaml", "freehold deploy images -f values.yaml --format json")
)
def images(file: ValuesOption, chart: ChartOption = None, form: FormatOption = Format.TABLE) -> None:
    """List every image that these values run, for a registry inside the walls."""
    from freehold.serve.deploying.bundle import images as images_of

    rows = [
        {"image": one.reference, "pinned": one.is_pinned, "used_by": one.used_by}
        for one in images_of(*_checked(file, chart))
    ]
    print_rows(rows, ("image", "pinned", "used_by"), form)


@app.command(
    epilog=examples(
        "freehold deploy artifacts -f values.yaml", "freehold deploy artifacts -f values.yaml --format json"
    )
)
def artifacts(file: ValuesOption, chart: ChartOption = None, form: FormatOption = Format.TABLE) -> None:
    """List every model and adapter that these values bring in, with its source and what is locked."""
    from freehold.serve.deploying.bundle import artifacts as artifacts_of

    rows = []
    for one in artifacts_of(*_checked(file, chart)):
        row: dict[str, Any] = {
            "name": one.name,
            "source": one.source or "in the store already",
            "locked": one.lock is not None,
        }
        row["size"] = None if one.size_bytes is None else human_bytes(one.size_bytes)
        row |= {"used_by": one.used_by, "files": one.files, "size_bytes": one.size_bytes}
        rows.append(row | {"lock": None if one.lock is None else one.lock.model_dump(mode="json")})
    print_rows(rows, ("name", "source", "locked", "size", "used_by"), form, empty="No artifacts.")


def _checked(file: Path, folder: Path | None) -> "tuple[dict[str, Any], Chart, DeploymentConfig]":
    """Values that are right, for what reads them further. Raises ConfigError."""
    from freehold.serve.deploying.chart import find_chart
    from freehold.serve.deploying.checking import check_values, load_values

    chart, values = find_chart(folder), load_values(file)
    if not values.get("deployment"):
        hint("`deployment` is not set: this is about the chart's example.")
    return values, chart, check_values(values, chart, str(file))
