"""Deletes files that have expired, and what crashes left of files."""

import asyncio
import logging
import time

from freehold.serve.files.storage import FileStorage
from freehold.serve.state.database import Database, DatabaseUnavailable
from freehold.serve.state.files import forget_spent_files, known_files

log = logging.getLogger("freehold.files")

SWEEP_S = 3600.0


async def sweep_files(database: Database, storage: FileStorage) -> None:
    """Every hour, until cancelled. Several may do it at once."""
    while True:
        await sweep_once(database, storage)
        await asyncio.sleep(SWEEP_S)


async def sweep_once(database: Database, storage: FileStorage) -> None:
    """Now; a database that is away is left alone."""
    try:
        spent = await database.run(forget_spent_files)
        known = await database.run(known_files)
    except DatabaseUnavailable as error:
        log.warning("%s. Expired files wait for it", error)
    else:
        await asyncio.to_thread(_delete, storage, spent, known)


def _delete(storage: FileStorage, spent: list[str], known: set[str]) -> None:
    for file_id in spent:
        storage.remove(file_id)
    storage.sweep(known, time.time() - SWEEP_S)
