"""`freehold models list|show|search|validate|add|schema`: the catalogue."""

import sys
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
import yaml

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_fields, print_json, print_rows
from freehold.core.errors import ConfigError, UserError
from freehold.core.manifest import ModelManifest, PackageOrigin, load_catalogue
from freehold.core.manifest.adding import add_manifest
from freehold.core.manifest.catalogue import read_manifest
from freehold.core.manifest.model import Capability, Role
from freehold.core.manifest.searching import Wish, search
from freehold.core.progress import human_parameters, phase
from freehold.core.settings import load_settings

app = typer.Typer(
    help="Look through the catalogue of open-weight models, and add your own.",
    no_args_is_help=True,
    epilog=examples("freehold models list --family qwen --commercial", "freehold models show smollm2-135m-instruct"),
)

COLUMNS = ("id", "roles", "parameters", "context", "license", "capabilities")
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id in the catalogue.")]


@app.command(
    "list",
    epilog=examples(
        "freehold models list",
        "freehold models list --role coder --commercial",
        "freehold models list --capability tools --capability vision --max-parameters 40",
        "freehold models list --replaces gpt-4o-mini --format json",
    ),
)
def list_models(
    family: Annotated[str | None, typer.Option(help="For example qwen.")] = None,
    role: Annotated[str | None, typer.Option(help="general, small, coder, reasoning, vision, embedding, …")] = None,
    license_id: Annotated[str | None, typer.Option("--license", help="SPDX identifier.")] = None,
    commercial: Annotated[
        bool, typer.Option("--commercial", help="Only licences that allow commercial use without conditions.")
    ] = False,
    capability: Annotated[
        list[str] | None, typer.Option(help="tools, reasoning, json, vision, …; all that are named.")
    ] = None,
    replaces: Annotated[str | None, typer.Option(help="A closed model that it is a candidate for.")] = None,
    max_parameters: Annotated[float | None, typer.Option(help="Most parameters in all, in billions.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List the models of the catalogue, narrowed by what they must have."""
    _check("role", [role] if role else [], get_args(Role))
    _check("capability", capability or [], get_args(Capability))
    largest = None if max_parameters is None else int(max_parameters * 1e9)
    wish = Wish(family, role, license_id, commercial, tuple(capability or ()), replaces, largest)
    found = [manifest for manifest in load_catalogue(load_settings().manifests_root) if wish.suits(manifest)]
    _print(found, form, empty="No model of the catalogue has all of that. `freehold models list` shows every one.")


@app.command("search", epilog=examples("freehold models search coder", "freehold models search qwen vision"))
def search_models(
    words: Annotated[list[str], typer.Argument(metavar="WORD…", help="All must occur.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Search ids, titles, descriptions, families, licences and capabilities."""
    found = search(load_catalogue(load_settings().manifests_root), " ".join(words))
    _print(found, form, empty=f"Nothing in the catalogue says {' and '.join(words)}.")


@app.command(epilog=examples("freehold models show smollm2-135m-instruct", "freehold models show ID --format json"))
def show(model: IdArgument, form: FormatOption = Format.TABLE) -> None:
    """Show all that the catalogue knows about one model, and where each fact is from."""
    manifest = load_catalogue(load_settings().manifests_root).require(model)
    if form is Format.JSON:
        print_json(manifest.model_dump(mode="json", by_alias=True))
        return
    data = manifest.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    heads = ("id", "title", "publisher", "description")
    print_fields({name: data[name] for name in heads} | {"source": _origin(manifest)})
    rest = {name: value for name, value in data.items() if name not in (*heads, "source", "config") and value}
    print(yaml.safe_dump(rest, sort_keys=False, allow_unicode=True, width=110).rstrip())


@app.command(
    epilog=examples(
        "freehold models validate",
        "freehold models validate ./my-model.yaml --no-engine",
        "freehold models validate --no-engine --hub",
    )
)
def validate(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE…", help="Manifests; the whole catalogue when left out.")
    ] = None,
    engine: Annotated[
        Path | None, typer.Option(metavar="PYTHON", help="Of the environment that has the engine; this one by default.")
    ] = None,
    no_engine: Annotated[bool, typer.Option("--no-engine", help="Do not ask the engine.")] = False,
    hub: Annotated[bool, typer.Option("--hub", help="Compare with the publishers' own repositories too.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check manifests: their form, and that the installed engine has what they name; with a hub, what it says."""
    from freehold.core.manifest.engine_check import ask_engine
    from freehold.core.manifest.publisher_check import differences

    settings = load_settings()
    own = settings.manifests_root
    manifests = [read_manifest(path) for path in files] if files else list(load_catalogue(own))
    rows: list[dict[str, Any]] = []
    if not no_engine:
        with phase("Asking the engine"):
            facts = ask_engine(engine or Path(sys.executable), manifests)
        rows = [{"id": each.id, "problem": problem} for each in manifests for problem in facts.problems(each)]
    if hub:
        for number, each in enumerate(manifests, 1):
            with phase(f"Reading {each.id} ({number} of {len(manifests)}) at {settings.hub_endpoint}"):
                rows += [{"id": each.id, "problem": problem} for problem in differences(each, settings)]
    against = ["in form" if no_engine else f"for vLLM {facts.version}", *(["as the hub has them"] if hub else [])]
    print_rows(rows, ("id", "problem"), form, empty=f"{len(manifests)} manifest(s) are right {' and '.join(against)}.")
    if rows:
        raise ConfigError("Manifests are not right", [f"{row['id']}: {row['problem']}" for row in rows])


@app.command(epilog=examples("freehold models add ./my-model.yaml", "freehold models add ./qwen3-8b.yaml --replace"))
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A manifest; `models schema` prints the form.")],
    replace: Annotated[bool, typer.Option("--replace", help="Even if one of that id is there.")] = False,
) -> None:
    """Add a manifest to your own folder, where it extends or overrides the catalogue."""
    print(add_manifest(file, load_settings().manifests_root, load_catalogue(), replace=replace))


@app.command(epilog=examples("freehold models schema > model.schema.json"))
def schema() -> None:
    """Print the JSON schema of manifests, for your editor."""
    from freehold.core.manifest.schema import manifest_schema

    print_json(manifest_schema())


def _check(option: str, given: list[str], known: tuple[str, ...]) -> None:
    if unknown := [name for name in given if name not in known]:
        raise UserError(f"--{option} {unknown[0]!r} is not known", why=f"there are {', '.join(known)}")


def _print(manifests: list[ModelManifest], form: Format, *, empty: str) -> None:
    if form is Format.JSON:
        print_json([each.model_dump(mode="json", by_alias=True, exclude={"config"}) for each in manifests])
        return
    print_rows([_row(manifest) for manifest in manifests], COLUMNS, form, empty=empty)


def _row(manifest: ModelManifest) -> dict[str, str]:
    active = f", {human_parameters(manifest.parameters_active)} active" if manifest.parameters_active else ""
    return {
        "id": manifest.id,
        "roles": ", ".join(manifest.roles),
        "parameters": human_parameters(manifest.parameters_total) + active,
        "context": f"{manifest.context_tokens:,}",
        "license": manifest.license.spdx,
        "capabilities": ", ".join(manifest.capabilities),
    }


def _origin(manifest: ModelManifest) -> str:
    origin = manifest.source
    if isinstance(origin, PackageOrigin):
        return f"{origin.package} {origin.version} on PyPI"
    return f"{origin.repo}@{origin.revision}" if origin.revision else f"{origin.repo} (no revision pinned)"
