"""The keys in a file beside the gateway, for a start while the database is down.

It holds hashes, limits and names, never a secret; only its owner may read it.
"""

import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from freehold.core.store.atomic import write_atomically
from freehold.serve.gateway.key_table import Entry, Interning, state_of
from freehold.serve.state.keys import KeyState

log = logging.getLogger("freehold.gateway")

VERSION = 1
_WRITABLE_BY_OTHERS = 0o022
_USELESS = "The snapshot of keys %s is not used: %s"


class _Content(msgspec.Struct):
    version: int
    database: str
    written_at: float
    states: list[KeyState]


class KeySnapshot:
    """One file for the keys of one database."""

    def __init__(self, path: Path, database: str) -> None:
        """`database` tells databases apart; keys of another one are not taken."""
        self.path = path
        self._database = database

    def write(self, entries: Iterable[Entry]) -> None:
        """Replace the file. Raises OSError."""
        content = _Content(VERSION, self._database, time.time(), [state_of(entry) for entry in entries])
        write_atomically(self.path, msgspec.msgpack.encode(content), mode=0o600)

    def read(self) -> tuple[list[Entry], float] | None:
        """The keys and when they were written; None, with a reason in the log, if the file is of no use."""
        try:
            about = self.path.stat()
            content = msgspec.msgpack.decode(self.path.read_bytes(), type=_Content)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            log.warning(_USELESS, self.path, error)
            return None
        if about.st_uid != os.geteuid() or about.st_mode & _WRITABLE_BY_OTHERS:
            log.warning(_USELESS, self.path, "others could have written it")
            return None
        if (content.version, content.database) != (VERSION, self._database):
            log.warning(_USELESS, self.path, "it is of another version or another database")
            return None
        interning = Interning()
        return [interning.entry(state) for state in content.states], content.written_at
