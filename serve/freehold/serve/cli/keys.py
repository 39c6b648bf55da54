"""`freehold keys create|list|show|update|rotate|revoke`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_fields, print_json, print_rows
from freehold.core.errors import UserError
from freehold.core.progress import hint
from freehold.core.settings import load_settings

if TYPE_CHECKING:
    from freehold.serve.admin.key_objects import ShownKey
    from freehold.serve.state.keys import KeyRecord, KeyStore

app = typer.Typer(
    help="API keys: who may use the gateway, for what, and how much.",
    no_args_is_help=True,
    epilog=examples("KEY=$(freehold keys create --name chat --team support)", "freehold keys list"),
)

COLUMNS = ("id", "name", "role", "status", "team", "owner", "label", "hint", "created", "expires")
NONE = "none"

KeyArgument = Annotated[str, typer.Argument(metavar="ID", help="An id from `freehold keys list`.")]
ConfigOption = Annotated[
    Path | None, typer.Option(help="Deployment that says where the database is; ./freehold.yaml if there is one.")
]
ModelOption = Annotated[
    list[str] | None, typer.Option("--model", help="Model that it may name; may be repeated. All by default.")
]
RouteOption = Annotated[
    list[str] | None, typer.Option("--route", help="Route that it may name; may be repeated. All by default.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many; no limit by default.")]
LimitChange = Annotated[str | None, typer.Option(metavar="N|none", help="At most so many; none takes the limit away.")]


@contextmanager
def _opened(config: Path | None) -> "Iterator[KeyStore]":
    """The keys of the deployment; its database is migrated first."""
    from freehold.serve.state.keys import KeyStore
    from freehold.serve.state.opening import open_state

    database, _ = open_state(config, load_settings())
    try:
        yield KeyStore(database)
    finally:
        database.close()


@contextmanager
def _acting(config: Path | None, act: str, key_id: str, details: dict[str, Any]) -> "Iterator[KeyStore]":
    """The same for a change, which is written into the audit log."""
    from freehold.serve.audit import LOCAL, AuditLog, command_line_actor

    audit = AuditLog(load_settings().audit_log)
    with (
        _opened(config) as store,
        audit.act(act, actor=command_line_actor(), target=key_id, origin=LOCAL, details=details),
    ):
        yield store


def _shown(record: "KeyRecord") -> "ShownKey":
    import time

    from freehold.serve.admin.key_objects import shown

    return shown(record, time.time())


def _row(record: "KeyRecord") -> dict[str, Any]:
    fields = _shown(record).model_dump(exclude={"object"})
    return {**fields, "created": _moment(record.created_at), "expires": _moment(record.expires_at)}


def _moment(seconds: float | None) -> str:
    from datetime import UTC, datetime

    return "never" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _print_secret(record: "KeyRecord", secret: str, form: Format) -> None:
    """The secret alone on stdout, so that a shell can take it; or one object with `key`."""
    if form is Format.JSON:
        print_json({**_shown(record).model_dump(), "key": secret})
    else:
        print(secret)
    hint(f"{record.id} ({record.name}), {record.label}. The key is shown this once.")


def _print_key(record: "KeyRecord", form: Format) -> None:
    fields = _shown(record).model_dump()
    if form is Format.JSON:
        print_json(fields)
        return
    times = {
        "created_at": _moment(record.created_at),
        "expires_at": _moment(record.expires_at),
        "revoked_at": None if record.revoked_at is None else _moment(record.revoked_at),
        "previous_until": None if record.previous_until is None else _moment(record.previous_until),
    }
    lists = {name: ", ".join(fields[name]) if fields[name] else None for name in ("models", "routes")}
    del fields["object"]
    print_fields(fields | times | lists)


@app.command(
    epilog=examples(
        "KEY=$(freehold keys create --name chat --team support)",
        "freehold keys create --name batch --model qwen3-8b --tokens-per-minute 200000 --expires 90d",
        "freehold keys create --name ops --admin --format json",
        "freehold keys create --name wallboard --role viewer",
    )
)
def create(
    name: Annotated[str, typer.Option(help="What people call it.")],
    team: Annotated[str, typer.Option(help="Whose use it counts as.")] = "",
    owner: Annotated[str, typer.Option(help="Whom to ask about it.")] = "",
    model: ModelOption = None,
    route: RouteOption = None,
    requests_per_minute: Limit = None,
    tokens_per_minute: Limit = None,
    concurrent_requests: Limit = None,
    monthly_tokens: Limit = None,
    monthly_money: Annotated[str | None, typer.Option(help="In the gateway's currency, for example 250.00.")] = None,
    expires: Annotated[
        str | None, typer.Option(help="90d, 12h, or a date (from its beginning on, UTC). Never by default.")
    ] = None,
    may_leave: Annotated[
        bool, typer.Option("--may-leave", help="Let its requests reach closed models; without this they stay.")
    ] = False,
    may_tune: Annotated[
        bool, typer.Option("--may-tune", help="Let it upload files and start fine-tuning jobs.")
    ] = False,
    role: Annotated[
        str | None, typer.Option(help="app (the default), viewer, operator or admin: what it may do in /admin/v1.")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="The same as --role admin.")] = False,
    config: ConfigOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Create a key and print it, alone, on stdout. It is not stored: nobody can show it again."""
    from freehold.serve.state.key_fields import NewKey, parse_fields
    from freehold.serve.state.keys import new_key_id

    given = {
        "name": name,
        "team": team or None,
        "owner": owner or None,
        "role": "admin" if admin else role,
        "label": "may-leave" if may_leave else None,
        "may_tune": may_tune or None,
        "models": model or None,
        "routes": route or None,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "concurrent_requests": concurrent_requests,
        "monthly_tokens": monthly_tokens,
        "monthly_money": monthly_money,
        "expires": expires,
    }
    if admin and role not in (None, "admin"):
        raise UserError(f"--admin and --role {role} contradict each other", next_step="Give one of the two.")
    fields = {field: value for field, value in given.items() if value is not None}
    new = parse_fields(NewKey, fields, "The key cannot be created")
    key_id = new_key_id()
    with _acting(config, "keys.create", key_id, new.model_dump(mode="json", exclude_unset=True)) as store:
        record, secret = store.create(new, key_id)
    _print_secret(record, secret, form)


@app.command("list", epilog=examples("freehold keys list --team support", "freehold keys list --all --format json"))
def list_keys(
    team: Annotated[str | None, typer.Option(help="Only keys of this team.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that were revoked.")] = False,
    config: ConfigOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List keys, oldest first; --format json also shows their limits."""
    with _opened(config) as store:
        records = store.list(team, include_revoked=everything)
    rows = [_shown(record).model_dump() if form is Format.JSON else _row(record) for record in records]
    print_rows(rows, COLUMNS, form, empty="No keys. Try `freehold keys create --name chat`.")


@app.command(epilog=examples("freehold keys show key_0123456789ab", "freehold keys show ID --format json"))
def show(key: KeyArgument, config: ConfigOption = None, form: FormatOption = Format.TABLE) -> None:
    """Show one key: scope, limits and state, never its secret."""
    with _opened(config) as store:
        record = store.get(key)
    _print_key(record, form)


@app.command(
    epilog=examples(
        "freehold keys update key_0123456789ab --tokens-per-minute 100000",
        "freehold keys update ID --monthly-money none --expires never --must-stay",
        "freehold keys update ID --any-model --route chat",
    )
)
def update(
    key: KeyArgument,
    owner: Annotated[str | None, typer.Option(help="Whom to ask about it.")] = None,
    model: ModelOption = None,
    any_model: Annotated[bool, typer.Option("--any-model", help="Take the list of models away.")] = False,
    route: RouteOption = None,
    any_route: Annotated[bool, typer.Option("--any-route", help="Take the list of routes away.")] = False,
    requests_per_minute: LimitChange = None,
    tokens_per_minute: LimitChange = None,
    concurrent_requests: LimitChange = None,
    monthly_tokens: LimitChange = None,
    monthly_money: LimitChange = None,
    expires: Annotated[str | None, typer.Option(help="90d, 12h, a date (UTC), or never.")] = None,
    may_leave: Annotated[
        bool | None, typer.Option("--may-leave/--must-stay", help="Whether its requests may reach closed models.")
    ] = None,
    may_tune: Annotated[
        bool | None, typer.Option("--may-tune/--no-tune", help="Whether it may start fine-tuning jobs.")
    ] = None,
    config: ConfigOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Change what is named, and nothing else; running gateways follow within a second."""
    from freehold.serve.state.key_fields import KeyChanges, parse_fields

    counts = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "concurrent_requests": concurrent_requests,
        "monthly_tokens": monthly_tokens,
    }
    given: dict[str, Any] = {name: _count(text) for name, text in counts.items() if text is not None}
    if owner is not None:
        given["owner"] = owner
    if may_leave is not None:
        given["label"] = "may-leave" if may_leave else "must-stay"
    if may_tune is not None:
        given["may_tune"] = may_tune
    if monthly_money is not None:
        given["monthly_money"] = None if monthly_money == NONE else monthly_money
    if expires is not None:
        given["expires"] = None if expires == "never" else expires
    for field, names, any_name in (("models", model, any_model), ("routes", route, any_route)):
        if names and any_name:
            raise UserError(f"--{field[:-1]} and --any-{field[:-1]} contradict each other", next_step="Give one.")
        if names or any_name:
            given[field] = names or None
    if not given:
        raise UserError("Nothing to change was given", next_step="`freehold keys update --help` lists what can be.")
    changes = parse_fields(KeyChanges, given, f"{key} cannot be changed")
    with _acting(config, "keys.update", key, changes.model_dump(mode="json", exclude_unset=True)) as store:
        record = store.update(key, changes)
    _print_key(record, form)


def _count(text: str) -> int | str | None:
    """A number if it is one; what is none is left to the fields' own check, which names the field."""
    if text == NONE:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text


@app.command(
    epilog=examples("KEY=$(freehold keys rotate key_0123456789ab --grace 24h)", "freehold keys rotate ID --format json")
)
def rotate(
    key: KeyArgument,
    grace: Annotated[
        str | None,
        typer.Option(help="For how long the old secret still works, for example 24h; not at all by default."),
    ] = None,
    config: ConfigOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Give a key a new secret and print it, alone, on stdout."""
    from freehold.serve.state.key_fields import parse_duration

    try:
        grace_s = 0.0 if grace is None else parse_duration(grace).total_seconds()
    except ValueError as error:
        raise UserError(f"--grace {grace!r} is not usable", why=str(error)) from error
    with _acting(config, "keys.rotate", key, {"grace_s": grace_s}) as store:
        record, secret = store.rotate(key, grace_s)
    _print_secret(record, secret, form)
    if grace_s:
        hint(f"The old one works until {_moment(record.previous_until)} UTC.")


@app.command(epilog=examples("freehold keys revoke key_0123456789ab", "freehold keys revoke ID --format json"))
def revoke(key: KeyArgument, config: ConfigOption = None, form: FormatOption = Format.TABLE) -> None:
    """Make a key invalid for good; running gateways refuse it within a second. What it used stays in the books."""
    with _acting(config, "keys.revoke", key, {}) as store:
        record = store.revoke(key)
    print_rows([_row(record)], ("id", "name", "status"), form)
