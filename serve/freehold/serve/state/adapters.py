"""Adapters in the database: what gateways should have loaded, and what each of them says of it.

Every function works in its caller's transaction: `database.call(lambda connection: add_adapter(connection, …))`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import Connection, delete, insert, select, update

from freehold.core.errors import NotFoundError, UserError
from freehold.serve.state.database import now
from freehold.serve.state.tables import AdapterReportRow, AdapterRevisionRow, AdapterRow

ALIVE_S = 20.0
"""A replica that has said nothing for so long is gone; each speaks every five seconds."""


@dataclass(frozen=True, slots=True)
class AdapterRecord:
    """An adapter that gateways should have. Fields are the table's columns, explained there."""

    name: str
    model: str
    artifact: str
    accept: tuple[str, ...]
    created_at: float


@dataclass(frozen=True, slots=True)
class AdapterReport:
    """How an adapter stands on one replica."""

    replica: str
    model: str
    name: str
    wanted: str
    phase: str
    detail: str
    serving: str
    fingerprint: str
    is_configured: bool


class NameTaken(UserError):
    """An adapter of another model has this name."""

    http_status = 409
    code = "name_taken"


def add_adapter(
    connection: Connection, model: str, name: str, artifact: str, accept: Sequence[str] = ()
) -> AdapterRecord:
    """Have every replica load an artifact under a name, in place of the one that it may have had.

    Whether the artifact may be loaded is for the caller to check (`admit`), and each replica does again. Raises
    NameTaken.
    """
    _advance(connection)
    before = _find(connection, name)
    if before is not None and before.model != model:
        raise NameTaken(
            f"The name '{name}' is taken",
            why=f"an adapter of {before.model} has it",
            next_step="Take another name, or unload that adapter first.",
        )
    record = AdapterRecord(name, model, artifact, tuple(accept), now(connection))
    values = {**asdict(record), "accept": list(accept)}
    if before is None:
        connection.execute(insert(AdapterRow).values(**values))
    else:
        connection.execute(update(AdapterRow).where(AdapterRow.name == name).values(**values))
    return record


def remove_adapter(connection: Connection, model: str, name: str) -> AdapterRecord:
    """Have every replica unload it; returns what it was. Raises NotFoundError."""
    _advance(connection)
    record = get_adapter(connection, model, name)
    connection.execute(delete(AdapterRow).where(AdapterRow.name == name))
    return record


def get_adapter(connection: Connection, model: str, name: str) -> AdapterRecord:
    """The adapter of that name. Raises NotFoundError, also for one of another model."""
    record = _find(connection, name)
    if record is None or record.model != model:
        raise NotFoundError(
            f"No adapter '{name}' of {model} was loaded at runtime", next_step="`freehold adapters list` shows all."
        )
    return record


def list_adapters(connection: Connection, model: str | None = None) -> list[AdapterRecord]:
    """All that were asked for at runtime, by name; those of one model if it is given."""
    query = select(*_COLUMNS).order_by(AdapterRow.name)
    if model is not None:
        query = query.where(AdapterRow.model == model)
    return [_record(tuple(row)) for row in connection.execute(query)]


def read_adapter_revision(connection: Connection) -> int:
    """How many changes there were. Read it before the adapters."""
    return connection.scalar(select(AdapterRevisionRow.value)) or 0


def write_reports(connection: Connection, replica: str, reports: Sequence[AdapterReport]) -> None:
    """What a replica says now, in place of what it said before; nothing once it has ended."""
    moment = now(connection)
    connection.execute(delete(AdapterReportRow).where(AdapterReportRow.replica == replica))
    connection.execute(delete(AdapterReportRow).where(AdapterReportRow.reported_at < moment - 10 * ALIVE_S))
    if reports:
        connection.execute(insert(AdapterReportRow), [{**asdict(one), "reported_at": moment} for one in reports])


def list_reports(connection: Connection, model: str | None = None) -> list[AdapterReport]:
    """What living replicas say, those with an empty name included, which only say that the replica is there."""
    query = select(*_REPORT).where(AdapterReportRow.reported_at > now(connection) - ALIVE_S)
    if model is not None:
        query = query.where(AdapterReportRow.model == model)
    rows = connection.execute(query.order_by(AdapterReportRow.name, AdapterReportRow.replica))
    return [AdapterReport(*row) for row in rows]


_COLUMNS = [getattr(AdapterRow, field.name) for field in fields(AdapterRecord)]
_REPORT = [getattr(AdapterReportRow, field.name) for field in fields(AdapterReport)]


def _find(connection: Connection, name: str) -> AdapterRecord | None:
    row = connection.execute(select(*_COLUMNS).where(AdapterRow.name == name)).one_or_none()
    return None if row is None else _record(tuple(row))


def _record(row: tuple[str, str, str, list[str], float]) -> AdapterRecord:
    name, model, artifact, accept, created_at = row
    return AdapterRecord(name, model, artifact, tuple(accept), created_at)


def _advance(connection: Connection) -> None:
    # The lock of this one row lets changes commit one after the other.
    connection.execute(update(AdapterRevisionRow).values(value=AdapterRevisionRow.value + 1))
