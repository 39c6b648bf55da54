"""Rows of allowances and leases under lock: what `quotas` calculates with.

Locks are taken in one order, allowances before leases and both by name, so that replicas wait for each other and never
deadlock. Times are the database's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

from sqlalchemy import BindParameter, Connection, Row, Table, bindparam, delete, select, text, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from freehold.serve.state.database import now
from freehold.serve.state.tables import AllowanceRow, LeaseRow

LOCK_TIMEOUT = "3000"
"""Milliseconds. Whoever waits longer takes the database for unavailable, and goes on without it."""
IDLE_TIMEOUT = "5000"
"""Milliseconds until the server ends the transaction of a replica that lost its network in the middle of it."""
CHUNK = 500
"""Names in one statement."""

ALLOWANCE = cast(Table, AllowanceRow.__table__)
LEASE = cast(Table, LeaseRow.__table__)


class Name(NamedTuple):
    """An allowance: whose, of which limit, since when (epoch seconds; 0 for a limit without a window)."""

    key_id: str
    meter: str
    window_start: int


NAME_OF_LEASE = tuple(LEASE.c[name] for name in Name._fields)
OF_LEASE = tuple(ALLOWANCE.c[name] == LEASE.c[name] for name in Name._fields)
"""Joins a lease to its allowance."""

_ITS_NAME: dict[str, BindParameter[Any]] = {name: bindparam(f"its_{name}") for name in (*Name._fields, "replica")}
_UPDATE_ALLOWANCE = update(ALLOWANCE).where(*(ALLOWANCE.c[name] == _ITS_NAME[name] for name in Name._fields))
"""Sets the columns that are among the parameters."""
_DELETE_LEASE = delete(LEASE).where(*(LEASE.c[name] == parameter for name, parameter in _ITS_NAME.items()))


@dataclass(slots=True)
class Allowance:
    """An allowance, and the lease that one replica has of it."""

    spent: int
    leased: int
    """The sum of all leases."""
    wanted_until: float
    lease: int = 0
    expires_at: float = 0.0


def begin(connection: Connection) -> float:
    """The database's time, in a transaction that waits for nobody for long."""
    if connection.dialect.name == "postgresql":
        settings = (
            "set_config('lock_timeout', :lock, true), set_config('idle_in_transaction_session_timeout', :idle, true)"
        )
        connection.execute(text(f"select {settings}"), {"lock": LOCK_TIMEOUT, "idle": IDLE_TIMEOUT})
    return now(connection)


def insert_into(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that knows `on conflict`."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


class LockedAllowances:
    """Allowances that nobody else changes until the transaction ends. Change them in place, then `write`."""

    def __init__(self, connection: Connection, replica: str, names: Iterable[Name], at: float) -> None:
        """Lock them, insert those that are new, and take back the leases of other replicas that have expired."""
        self._connection = connection
        self._replica = replica
        self.rows: dict[Name, Allowance] = {}
        self._expired: list[Mapping[str, object]] = []
        ordered = sorted(set(names))
        if ordered:
            new = {"spent": 0, "leased": 0, "wanted_until": 0.0}
            insert = insert_into(connection, ALLOWANCE).on_conflict_do_nothing()
            connection.execute(insert, [{**name._asdict(), **new} for name in ordered])
        for row in self._locked(ALLOWANCE, ordered):
            self.rows[_name(row)] = Allowance(row.spent, row.leased, row.wanted_until)
        self._before = {name: replace(row) for name, row in self.rows.items()}
        for row in self._locked(LEASE, ordered):
            self._count_lease(row, at)

    def _locked(self, table: Table, names: Sequence[Name]) -> Iterable[Row[Any]]:
        key = [table.c[name] for name in Name._fields]
        for start in range(0, len(names), CHUNK):
            chosen = tuple_(*key).in_(names[start : start + CHUNK])
            yield from self._connection.execute(
                select(table).where(chosen).order_by(*table.primary_key.columns).with_for_update()
            ).all()

    def _count_lease(self, row: Row[Any], at: float) -> None:
        name = _name(row)
        if row.replica == self._replica:
            self.rows[name].lease = self._before[name].lease = row.amount
            self.rows[name].expires_at = self._before[name].expires_at = row.expires_at
        elif row.expires_at <= at:
            self.rows[name].leased -= row.amount
            self._expired.append(_parameters(name, row.replica))

    def write(self) -> None:
        """Store what was changed."""
        changed = {name: row for name, row in self.rows.items() if row != self._before[name]}
        ended = [name for name, row in changed.items() if not row.lease and self._before[name].lease]
        self._many(_DELETE_LEASE, [*self._expired, *(_parameters(name, self._replica) for name in ended)])
        self._many(
            _UPDATE_ALLOWANCE,
            [
                {**_parameters(name), "spent": row.spent, "leased": row.leased, "wanted_until": row.wanted_until}
                for name, row in changed.items()
            ],
        )
        upsert = insert_into(self._connection, LEASE)
        upsert = upsert.on_conflict_do_update(
            index_elements=list(LEASE.primary_key.columns),
            set_={"amount": upsert.excluded.amount, "expires_at": upsert.excluded.expires_at},
        )
        self._many(
            upsert,
            [
                {**name._asdict(), "replica": self._replica, "amount": row.lease, "expires_at": row.expires_at}
                for name, row in changed.items()
                if row.lease
            ],
        )

    def _many(self, statement: Any, parameters: list[Mapping[str, object]]) -> None:
        if parameters:
            self._connection.execute(statement, parameters)


def _name(row: Row[Any]) -> Name:
    return Name(row.key_id, row.meter, row.window_start)


def _parameters(name: Name, replica: str | None = None) -> dict[str, object]:
    of_name: dict[str, object] = {f"its_{column}": value for column, value in name._asdict().items()}
    return of_name if replica is None else {**of_name, "its_replica": replica}
