"""`freehold adapters list|load|unload`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_fields, print_json, print_rows
from freehold.core.errors import EngineError, NotFoundError, UserError
from freehold.core.progress import hint
from freehold.core.settings import load_settings

if TYPE_CHECKING:
    from freehold.serve.adapters.desk import AdapterDesk, AdapterView

app = typer.Typer(
    help="Adapters of served models: load, list and unload them while the gateway runs.",
    no_args_is_help=True,
    epilog=examples("freehold adapters load support support-tuned-0123456789ab", "freehold adapters list"),
)

COLUMNS = ("name", "model", "artifact", "state", "replicas", "from", "detail")
ACCEPTABLE = ("parity",)
POLL_S = 0.25
WAIT_S = 600.0
"""For the slowest replica to load an adapter; a start of its engine may be under way."""

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What clients send as the model.")]
ModelOption = Annotated[
    str | None, typer.Option(help="The model that it belongs to; not needed where one alone takes adapters.")
]
ConfigOption = Annotated[Path | None, typer.Option(help="The deployment; ./freehold.yaml by default.")]


@contextmanager
def _opened(config: Path | None) -> "Iterator[AdapterDesk]":
    """The adapters of the deployment; its database is migrated first."""
    from freehold.core.policy import policies_here
    from freehold.core.store import Store
    from freehold.serve.adapters.desk import AdapterDesk
    from freehold.serve.state.opening import open_state

    settings = load_settings()
    database, deployment = open_state(config, settings)
    try:
        if deployment is None:
            raise NotFoundError(
                "No deployment is named",
                why="there is no freehold.yaml here, and adapters belong to its models",
                next_step="Add `--config FILE`.",
            )
        policies = policies_here(settings, deployment.policy)
        yield AdapterDesk(database, Store(settings.store_root), deployment, policies)
    finally:
        database.close()


@contextmanager
def _acting(act: str, name: str, details: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A change, which is written into the audit log."""
    from freehold.serve.audit import LOCAL, AuditLog, command_line_actor

    audit = AuditLog(load_settings().audit_log)
    with audit.act(act, actor=command_line_actor(), target=name, origin=LOCAL, details=details) as said:
        yield said


def _document(view: "AdapterView") -> dict[str, Any]:
    from freehold.serve.admin.adapter_objects import shown

    return shown(view).model_dump(mode="json")


def _row(view: "AdapterView") -> dict[str, Any]:
    ready = sum(report.phase == "ready" and report.wanted == view.artifact for report in view.reports)
    return {
        "name": view.name,
        "model": view.model,
        "artifact": view.artifact,
        "state": str(view.phase),
        "replicas": f"{ready} of {len(view.reports)}",
        "from": "config" if view.is_configured else "runtime",
        "detail": view.detail,
    }


@app.command("list", epilog=examples("freehold adapters list", "freehold adapters list --model qwen3-8b --format json"))
def list_adapters(
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    config: ConfigOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List adapters, and how they stand on the gateways that run."""
    with _opened(config) as desk:
        views = desk.list(model)
    rows = [_document(view) if form is Format.JSON else _row(view) for view in views]
    print_rows(rows, COLUMNS, form, empty="No adapters. Try `freehold adapters load NAME ARTIFACT`.")


@app.command(
    epilog=examples(
        "freehold adapters load support support-tuned-0123456789ab",
        "freehold adapters load support ARTIFACT --model qwen3-8b --accept parity --no-wait",
    )
)
def load(
    name: NameArgument,
    artifact: Annotated[str, typer.Argument(help="Artifact id of the adapter, or its name in the store.")],
    model: ModelOption = None,
    accept: Annotated[list[str] | None, typer.Option(help="Gate that it need not have passed: parity.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Return when every gateway has it, or cannot.")] = True,
    config: ConfigOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Load an adapter into the running engines, or give one of this name a new artifact.

    Running gateways follow within a second, those that start later load it at their start. Requests that run with the
    artifact before finish with it.
    """
    from pydantic import ValidationError

    from freehold.serve.admin.adapter_objects import NewAdapter
    from freehold.serve.state.key_fields import problem_of

    try:
        new = NewAdapter.model_validate({"name": name, "artifact": artifact, "accept": accept or ()})
    except ValidationError as error:
        problems = "; ".join(problem_of(item) for item in error.errors())
        raise UserError("The adapter cannot be loaded", why=problems) from error
    with _opened(config) as desk:
        model = model or desk.model_of(name)
        with _acting("adapters.load", name, {"model": model, "accept": list(new.accept)}) as said:
            view = desk.load(model, new.name, new.artifact, new.accept)
            said["artifact"] = view.artifact
        if wait:
            view = _settled(desk, view)
    if form is Format.JSON:
        print_json(_document(view))
    else:
        print_fields(_row(view))
    if view.phase == "failed":
        raise EngineError(
            f"{view.artifact} was not loaded", why=view.detail, next_step="What answered before goes on answering."
        )


def _settled(desk: "AdapterDesk", view: "AdapterView") -> "AdapterView":
    """The adapter once every gateway that runs has loaded it, or has failed to."""
    import time

    if not desk.replicas(view.model):
        hint("No gateway runs with this database: it is loaded when one starts.")
        return view
    hint(f"Loading {view.artifact} …")
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        view = desk.get(view.model, view.name)
        if view.phase in ("ready", "failed"):
            return view
        time.sleep(POLL_S)
    raise EngineError(
        f"{view.artifact} is not loaded after {WAIT_S:.0f} s",
        why=view.detail or "not every gateway has said how it stands",
        next_step="See `freehold adapters list` and the gateways' logs.",
    )


@app.command(epilog=examples("freehold adapters unload support", "freehold adapters unload NAME --model qwen3-8b"))
def unload(name: NameArgument, model: ModelOption = None, config: ConfigOption = None) -> None:
    """Take an adapter out of the running engines; running gateways follow within a second."""
    with _opened(config) as desk:
        model = model or desk.model_of(name)
        with _acting("adapters.unload", name, {"model": model}) as said:
            view = desk.unload(model, name)
            said["artifact"] = view.artifact
    print_fields({"name": view.name, "model": view.model, "artifact": view.artifact, "state": str(view.phase)})
