"""What gateway replicas do with allowances: lease, settle, renew, give back. SQL alone, each inside a transaction.

The invariant: `leased` of an allowance is the sum of its leases, and `spent + leased` stays within the limit as long as
nobody uses more than it leased. Times are the database's, so replicas' clocks do not matter.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

from sqlalchemy import Connection, Table, and_, delete, func, or_, select, update

from freehold.serve.state.allowances import (
    ALLOWANCE,
    LEASE,
    NAME_OF_LEASE,
    OF_LEASE,
    LockedAllowances,
    Name,
    begin,
    insert_into,
)
from freehold.serve.state.database import now
from freehold.serve.state.tables import BatchRow, ReplicaRow

REQUESTS = "requests"
TOKENS = "tokens"
CONCURRENT = "concurrent"
MONTH_TOKENS = "month_tokens"
MONTH_MONEY = "month_money"
_MINUTE = (REQUESTS, TOKENS)
_MONTH = (MONTH_TOKENS, MONTH_MONEY)

WANTED_S = 3.0
LIVE_S = 10.0
"""A replica that was not seen for so long gets no share."""
MINUTES_KEPT_S = 600
"""What is settled for a minute later than this is charged to the month alone."""
MONTHS_KEPT_S = 400 * 86400
"""Thirteen months."""
DEAD_S = 86400

REPLICA = cast(Table, ReplicaRow.__table__)
BATCH = cast(Table, BatchRow.__table__)


class Demand(NamedTuple):
    """At least `need` more of an allowance."""

    name: Name
    limit: int
    need: int


class Settlement(NamedTuple):
    """What was used of a lease, and what is given back unused."""

    name: Name
    spent: int
    give_back: int


class Standing(NamedTuple):
    """An allowance as the database has it."""

    lease: int
    """What this replica holds."""
    spent: int
    leased: int
    """What all replicas hold."""


class Grant(NamedTuple):
    """What became of a demand."""

    granted: int
    standing: Standing
    is_scarce: bool
    """Not enough is left for each replica to keep a stock."""


def acquire(connection: Connection, replica: str, demands: Sequence[Demand], lease_s: float) -> dict[Name, Grant]:
    """Lease of each demand what it needs, or a larger stock, or nothing; what others hold then becomes wanted."""
    at = begin(connection)
    live = max(1, connection.scalar(select(func.count()).where(REPLICA.c.seen_at > at - LIVE_S)) or 0)
    current = [demand for demand in demands if _is_kept(demand.name, at)]
    locked = LockedAllowances(connection, replica, (demand.name for demand in current), at)
    grants: dict[Name, Grant] = {}
    for name, limit, need in current:
        allowance = locked.rows[name]
        available = limit - allowance.spent - allowance.leased
        granted = max(need, available // (2 * live)) if available >= need else 0
        allowance.lease += granted
        allowance.leased += granted
        if allowance.lease:
            allowance.expires_at = at + lease_s
        if not granted and allowance.leased > allowance.lease:
            allowance.wanted_until = at + WANTED_S
        is_scarce = live > 1 and available - granted < 2 * live * need
        grants[name] = Grant(granted, Standing(allowance.lease, allowance.spent, allowance.leased), is_scarce)
    locked.write()
    return grants


def settle(connection: Connection, replica: str, batch: int, settlements: Sequence[Settlement]) -> dict[Name, Standing]:
    """Charge what was used, and shrink the leases by that and by what is given back.

    What was used is charged in any case, also beyond the lease and the limit; a lease that was taken back meanwhile is
    not subtracted again. A replica numbers its batches and sends one at a time: one that has been applied before, by a
    commit whose confirmation got lost, changes nothing.
    """
    at = begin(connection)
    current = [settlement for settlement in settlements if _is_kept(settlement.name, at)]
    locked = LockedAllowances(connection, replica, (settlement.name for settlement in current), at)
    if _is_new(connection, replica, batch, at):
        for name, spent, give_back in current:
            allowance = locked.rows[name]
            taken = min(allowance.lease, spent + give_back)
            allowance.spent += spent
            allowance.lease -= taken
            allowance.leased -= taken
    locked.write()
    return {name: Standing(row.lease, row.spent, row.leased) for name, row in locked.rows.items()}


def renew(connection: Connection, replica: str, lease_s: float) -> dict[Name, Standing]:
    """Prolong all leases of the replica, and list them: one that is missing was taken back."""
    at = begin(connection)
    mine = LEASE.c.replica == replica
    connection.execute(select(LEASE.c.amount).where(mine).order_by(*NAME_OF_LEASE).with_for_update()).all()
    connection.execute(update(LEASE).where(mine).values(expires_at=at + lease_s))
    rows = connection.execute(
        select(*NAME_OF_LEASE, LEASE.c.amount, ALLOWANCE.c.spent, ALLOWANCE.c.leased).where(mine, *OF_LEASE)
    )
    return {Name(*row[:3]): Standing(row.amount, row.spent, row.leased) for row in rows}


def heartbeat(connection: Connection, replica: str) -> None:
    """Say that the replica lives."""
    row = insert_into(connection, REPLICA).values(id=replica, seen_at=now(connection))
    connection.execute(row.on_conflict_do_update(index_elements=["id"], set_={"seen_at": row.excluded.seen_at}))


def wanted(connection: Connection, replica: str) -> list[Name]:
    """Allowances of which the replica holds a part and somebody ran short."""
    is_wanted = ALLOWANCE.c.wanted_until > now(connection)
    rows = connection.execute(select(*NAME_OF_LEASE).where(LEASE.c.replica == replica, is_wanted, *OF_LEASE))
    return [Name(*row) for row in rows]


def release(connection: Connection, replica: str) -> None:
    """Give back all leases of a replica that stops, and forget it."""
    at = begin(connection)
    mine = select(*NAME_OF_LEASE).where(LEASE.c.replica == replica)
    locked = LockedAllowances(connection, replica, [Name(*row) for row in connection.execute(mine)], at)
    for allowance in locked.rows.values():
        allowance.leased -= allowance.lease
        allowance.lease = 0
    locked.write()
    connection.execute(delete(REPLICA).where(REPLICA.c.id == replica))
    connection.execute(delete(BATCH).where(BATCH.c.id.startswith(_batch_id(replica, ""), autoescape=True)))


def sweep(connection: Connection) -> None:
    """Take back what replicas held that are gone, and delete windows that are long over."""
    at = begin(connection)
    expired = select(*NAME_OF_LEASE).where(LEASE.c.expires_at <= at)
    LockedAllowances(connection, "", [Name(*row) for row in connection.execute(expired)], at).write()
    for table in (ALLOWANCE, LEASE):
        minute = and_(table.c.meter.in_(_MINUTE), table.c.window_start <= at - MINUTES_KEPT_S)
        month = and_(table.c.meter.in_(_MONTH), table.c.window_start <= at - MONTHS_KEPT_S)
        key = table.primary_key.columns
        # A delete locks rows in any order; whoever renews or sweeps at the same time expects the one order.
        connection.execute(select(*key).where(or_(minute, month)).order_by(*key).with_for_update()).all()
        connection.execute(delete(table).where(or_(minute, month)))
    connection.execute(delete(REPLICA).where(REPLICA.c.seen_at <= at - DEAD_S))
    ours = BATCH.c.id.startswith(_batch_id("", ""), autoescape=True)
    connection.execute(delete(BATCH).where(ours, BATCH.c.applied_at <= at - DEAD_S))


def _is_kept(name: Name, at: float) -> bool:
    """Whether the allowance's row is there to stay."""
    return name.meter not in _MINUTE or name.window_start > at - MINUTES_KEPT_S


def _is_new(connection: Connection, replica: str, batch: int, at: float) -> bool:
    """Whether the batch comes for the first time. Of the one before it, nobody will ask again."""
    row = insert_into(connection, BATCH).values(id=_batch_id(replica, batch), applied_at=at).on_conflict_do_nothing()
    is_new = connection.scalar(row.returning(BATCH.c.id)) is not None
    connection.execute(delete(BATCH).where(BATCH.c.id == _batch_id(replica, batch - 1)))
    return is_new


def _batch_id(replica: str, batch: int | str) -> str:
    return f"quota:{replica}/{batch}" if replica else "quota:"
