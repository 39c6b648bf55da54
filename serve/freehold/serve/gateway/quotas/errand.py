"""What the courier has the database do in one transaction."""

from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection

from freehold.serve.state import quotas
from freehold.serve.state.allowances import Name
from freehold.serve.state.database import now
from freehold.serve.state.quotas import Demand, Grant, Settlement, Standing


class Batch(NamedTuple):
    """Settlements that are applied together, once. Kept as it is until the database has confirmed it."""

    number: int
    settlements: list[Settlement]


@dataclass(frozen=True)
class Errand:
    """One visit to the database."""

    replica: str
    lease_s: float
    batch: Batch | None = None
    is_beating: bool = False
    is_renewing: bool = False


@dataclass
class Report:
    """What a visit has brought."""

    at: float
    """The database's time."""
    settled: dict[Name, Standing] = field(default_factory=dict)
    renewed: dict[Name, Standing] | None = None
    """All leases of the replica, if they were renewed."""
    wanted: list[Name] = field(default_factory=list)


def visit(connection: Connection, errand: Errand) -> Report:
    """Settle, show that the replica lives, renew its leases, and see what others want of them."""
    report = Report(now(connection))
    if errand.batch is not None:
        report.settled = quotas.settle(connection, errand.replica, errand.batch.number, errand.batch.settlements)
    if errand.is_beating:
        quotas.heartbeat(connection, errand.replica)
    if errand.is_renewing:
        report.renewed = quotas.renew(connection, errand.replica, errand.lease_s)
    report.wanted = quotas.wanted(connection, errand.replica)
    return report


def acquire(
    connection: Connection, replica: str, demands: list[Demand], lease_s: float
) -> tuple[float, dict[Name, Grant]]:
    """The database's time, and what became of the demands."""
    return now(connection), quotas.acquire(connection, replica, demands, lease_s)
