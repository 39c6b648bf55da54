"""What models are busy with, process by process: batches yield to clients of every gateway, not of their own alone.

Functions run inside the caller's transaction.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from freehold.serve.state.database import now
from freehold.serve.state.tables import ModelLoadRow

FRESH_S = 5.0
"""What a process said longer ago counts no more: it says it every second."""
_FORGOTTEN_S = 60.0


class Load(NamedTuple):
    """Requests of clients, at one model."""

    in_flight: int
    waiting: int


def tell_loads(connection: Connection, replica: str, loads: Mapping[str, Load]) -> None:
    """Say how this process's models stand."""
    time = now(connection)
    is_own, is_old = ModelLoadRow.replica == replica, ModelLoadRow.told_at < time - _FORGOTTEN_S
    connection.execute(delete(ModelLoadRow).where(is_own | is_old))
    rows = [
        {"replica": replica, "model": model, "in_flight": load.in_flight, "waiting": load.waiting, "told_at": time}
        for model, load in loads.items()
    ]
    if rows:
        connection.execute(insert(ModelLoadRow), rows)


def loads_elsewhere(connection: Connection, replica: str) -> dict[str, Load]:
    """The sums of what all other processes said last, by model."""
    query = (
        select(ModelLoadRow.model, func.sum(ModelLoadRow.in_flight), func.sum(ModelLoadRow.waiting))
        .where(ModelLoadRow.replica != replica, ModelLoadRow.told_at > now(connection) - FRESH_S)
        .group_by(ModelLoadRow.model)
    )
    return {model: Load(int(in_flight), int(waiting)) for model, in_flight, waiting in connection.execute(query)}
