"""Adds a batch to the usage table exactly once.

A batch leaves its id in `usage_batch` in the transaction that adds it, so that a second attempt (the answer to a
commit was lost, the process died before it deleted the segment) finds the id and adds nothing. On PostgreSQL an attempt
that is still under way makes the second one wait for its outcome, since both insert the same id.

When may an id go? Not after some days: a disk may come back after any time with a segment whose id was forgotten, and
would count twice. An id is needed as long as its segment can come back, and only the disk knows that. So whoever has
deleted the segment, and synced the deletion, deletes the id with the next batch; and whoever takes a dead process's
folder over deletes what is left of the folder's ids once the folder is empty (folder names are never used again). What
stays for ever is one row for each process that was killed and whose disk went with it; an id is 60 bytes.
"""

import time
from collections.abc import Sequence
from typing import cast

from sqlalchemy import Connection, Table, delete
from sqlalchemy.dialects import postgresql, sqlite

from freehold.serve.gateway.ledger.totals import KEYS, SUMS, USAGE, Totals
from freehold.serve.state.tables import BatchRow

BATCH = cast(Table, BatchRow.__table__)


def post(connection: Connection, batch_id: str, totals: Totals, gone: Sequence[str] = ()) -> bool:
    """Add a batch, unless it has been added; forget the ids of batches that are `gone`. Whether it was added."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    if gone:
        connection.execute(delete(BATCH).where(BATCH.c.id.in_(gone)))
    marking = insert(BATCH).values(id=batch_id, applied_at=time.time()).on_conflict_do_nothing()
    if connection.scalar(marking.returning(BATCH.c.id)) is None:  # rowcount is not to be had of every driver
        return False
    add(connection, totals)
    return True


def add(connection: Connection, totals: Totals) -> None:
    """Add to the usage table, whatever was added before: that it happens once is the caller's matter."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    if rows := totals.rows():
        adding = insert(USAGE)
        sums = {name: USAGE.c[name] + adding.excluded[name] for name in SUMS}
        connection.execute(adding.on_conflict_do_update(index_elements=list(KEYS), set_=sums), rows)


def forget_folder(connection: Connection, folder: str) -> None:
    """Delete the ids of a folder that has no segments and gets no more."""
    connection.execute(delete(BATCH).where(BATCH.c.id.startswith(f"{folder}-", autoescape=True)))
