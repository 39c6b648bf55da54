"""Who sends a request: every key in memory, kept up to date by a look at the database twice a second.

A lookup never waits for the database. While that is down, the keys known so far stay valid; what changed meanwhile is
seen when it is back.
"""

import asyncio
import hmac
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from freehold.core.errors import ConfigError
from freehold.serve.config import GatewayConfig
from freehold.serve.gateway.errors import KeysUnavailable, SessionSent, UnknownKey
from freehold.serve.gateway.key_headers import presented_secret
from freehold.serve.gateway.key_snapshot import KeySnapshot
from freehold.serve.gateway.key_table import Entry, Interning, KeyTable, refuse_invalid, refuse_unknown
from freehold.serve.gateway.principal import Principal
from freehold.serve.state.database import DatabaseUnavailable
from freehold.serve.state.key_secret import digest_of
from freehold.serve.state.keys import KeyStore, read_revision, read_states

log = logging.getLogger("freehold.gateway")

Headers = Iterable[tuple[bytes, bytes]]

POLL_S = 0.5
MAX_BACKOFF_S = 2.0
NEW_KEY_GAP_S = 0.2
"""Between looks for what clients know and this process does not: a flood of wrong keys must not become queries."""
SNAPSHOT_GAP_S = 10.0
NEVER = float("-inf")
ADMIN_KEY_LENGTH = 16
"""A shorter one could be guessed: it is found by a fast hash, and nothing slows down who tries."""


class Sessions(Protocol):
    """Who has signed in to the console."""

    async def principal(self, headers: Headers) -> Principal:
        """Whose session the headers bring, with its token. Raises Unauthorized, NotAllowed, KeysUnavailable."""


class _Look(NamedTuple):
    """What one look at the database brought."""

    revision: int
    entries: list[Entry]
    table: KeyTable | None
    """All keys, where not only changes were read."""
    lost: set[str]
    """Keys that were valid before it."""


class KeyRing:
    """The keys of one gateway process. What is not awaited returns at once."""

    def __init__(
        self,
        store: KeyStore,
        poll_s: float = POLL_S,
        clock: Callable[[], float] = time.time,
        *,
        admin_key: str | None = None,
        snapshot: Path | None = None,
        on_revoked: Callable[[set[str]], None] = lambda ids: None,
    ) -> None:
        """`on_revoked` gets the ids of keys that a look found to be revoked, in the event loop."""
        self.on_revoked = on_revoked
        self.sessions: Sessions | None = None
        """Who has signed in to the console."""
        self._store = store
        self._poll_s = poll_s
        self._clock = clock
        self._latest_time = 0.0
        self._admin = Principal("env", is_admin=True)
        self._admin_digest = b"" if admin_key is None else digest_of(admin_key.encode())
        database = store.database.engine.url.render_as_string(hide_password=True)
        self._snapshot = None if snapshot is None else KeySnapshot(snapshot, database)
        self._table = KeyTable()
        self._interning = Interning()
        self._revision: int | None = None
        self._is_current = False
        self._is_reported = False
        self._lock = asyncio.Lock()
        self._began = 0.0
        self._look_for_new: asyncio.Task[bool] | None = None
        self._polling: asyncio.Task[None] | None = None
        self._is_saved = True
        self._saved_at = NEVER

    @property
    def is_current(self) -> bool:
        """Whether the last look at the database succeeded."""
        return self._is_current

    async def start(self, *, must_know: bool = True) -> None:
        """Load the keys and begin to follow their changes.

        Raises DatabaseUnavailable, unless a snapshot tells the keys of the last run or nobody `must_know` them.
        """
        try:
            await self._look()
        except DatabaseUnavailable as error:
            kept = None if self._snapshot is None else await asyncio.to_thread(self._snapshot.read)
            if kept is None and must_know:
                raise
            entries, written_at = kept or ([], 0.0)
            self._table = KeyTable(entries)
            when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(written_at))
            log.warning("%s. Its %d keys of %s are taken from a snapshot until it is", error, len(entries), when)
            self._is_reported = True
        await self._save()
        self._polling = asyncio.create_task(self._poll())
        self._polling.add_done_callback(_report_end)

    async def close(self) -> None:
        """Stop following, and leave a snapshot of the last state."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
        if self._look_for_new is not None:
            await self._look_for_new
        await self._save()

    def find(self, headers: Headers) -> Principal:
        """Whose request this is. Raises Unauthorized; UnknownKey where a look at the database may help."""
        secret = presented_secret(headers)
        digest = digest_of(secret)
        return self.of_digest(digest, secret)

    def of_digest(self, digest: bytes, secret: bytes = b"") -> Principal:
        """The key whose secret has this SHA-256. Raises Unauthorized, worded by the secret if it is known."""
        entry = self._table.get(digest)
        if entry is None:
            if self._admin_digest and hmac.compare_digest(digest, self._admin_digest):
                return self._admin
            raise refuse_unknown(secret)
        if entry.is_revoked or entry.principal.expires_at is not None or digest != entry.secret_hash:
            refuse_invalid(entry, digest, self._time())
        return entry.principal

    async def find_new(self, headers: Headers) -> Principal:
        """The same, with a look at the database before a key counts as unknown: another replica may have made it.

        Without a key, a session of the console counts. Raises Unauthorized, NotAllowed for a session without its token,
        and KeysUnavailable if the database cannot be asked.
        """
        try:
            return self.find(headers)
        except SessionSent:
            if self.sessions is None:
                raise
            return await self.sessions.principal(headers)
        except UnknownKey:
            if not await self._look_again():
                raise KeysUnavailable(
                    "The API key cannot be checked now",
                    why="it is not among those known so far, and the database does not answer",
                    next_step="Try again.",
                ) from None
        return self.find(headers)

    async def find_anew(self, headers: Headers) -> Principal:
        """The same, with that look before a key counts as too narrow: another replica may have widened it.

        What is known already, if the database does not answer. Raises Unauthorized, NotAllowed and KeysUnavailable.
        """
        await self._look_again()
        return await self.find_new(headers)

    async def holder(self, key_id: str) -> Principal:
        """The key of this id, for what the gateway does in its name. Raises Unauthorized, and KeysUnavailable."""
        if key_id == self._admin.key_id:
            return self._admin
        entry = self._table.entries.get(key_id)
        if entry is None:
            if not await self.refresh():
                raise KeysUnavailable("The API key cannot be checked now", why="the database does not answer")
            entry = self._table.entries.get(key_id)
        if entry is None:
            raise UnknownKey(f"The API key {key_id} does not exist any more")
        refuse_invalid(entry, entry.secret_hash, self._time())
        return entry.principal

    async def refresh(self) -> bool:
        """Take in every change that was committed before the call; False if the database does not answer."""
        async with self._lock:
            return await self._refresh()

    def _time(self) -> float:
        """The wall clock, never set back: a key that has expired stays so."""
        self._latest_time = max(self._latest_time, self._clock())
        return self._latest_time

    async def _look_again(self) -> bool:
        """A look that begins after the call, one for all who ask for it meanwhile; False if there is no answer."""
        if self._look_for_new is None:
            self._look_for_new = asyncio.create_task(self._refresh_for_new())
        # Shielded: others wait for it too when this client leaves.
        return await asyncio.shield(self._look_for_new)

    async def _refresh_for_new(self) -> bool:
        elapsed_s = asyncio.get_running_loop().time() - self._began
        await asyncio.sleep(max(0.0, NEW_KEY_GAP_S - elapsed_s))
        async with self._lock:
            # Whoever comes from here on may bring a key that this look is too early for.
            self._look_for_new = None
            return self._is_current and await self._refresh()

    async def _refresh(self) -> bool:
        try:
            await self._look()
        except DatabaseUnavailable as error:
            self._is_current = False
            if not self._is_reported:
                log.warning("%s. The keys known so far stay valid", error)
                self._is_reported = True
            return False
        return True

    async def _look(self) -> None:
        self._began = asyncio.get_running_loop().time()
        look = await self._store.database.run(self._read)
        if self._is_reported:
            log.info("The database answers again; keys are up to date")
            self._is_reported = False
        self._is_current = True
        if look.table is not None:
            self._table = look.table
        for entry in look.entries:
            self._table.put(entry)
        if look.revision != self._revision:
            self._revision = look.revision
            self._is_saved = False
        if look.lost:
            self._saved_at = NEVER  # the snapshot must not bring them back
            self.on_revoked(look.lost)

    def _read(self, connection: Connection) -> _Look:
        """Changes since the last look, else everything. Runs in a thread, with nobody writing to the table."""
        latest = read_revision(connection)
        if latest == self._revision:
            return _Look(latest, [], None, set())
        if self._revision is not None and latest > self._revision:
            entries = [self._interning.entry(state) for state in read_states(connection, self._revision)]
            revoked = {entry.principal.key_id for entry in entries if entry.is_revoked}
            known = self._table.entries
            return _Look(latest, entries, None, {id_ for id_ in revoked if id_ in known and not known[id_].is_revoked})
        # A number lower than before is a database that was restored from a backup.
        self._interning = interning = Interning()
        table = KeyTable(interning.entry(state) for state in read_states(connection, 0))
        return _Look(latest, [], table, self._table.valid_ids() - table.valid_ids())

    async def _poll(self) -> None:
        wait_s = self._poll_s
        while True:
            await asyncio.sleep(wait_s)
            self._time()
            if await self.refresh():
                wait_s = self._poll_s
                if asyncio.get_running_loop().time() - self._saved_at >= SNAPSHOT_GAP_S:
                    await self._save()
            else:
                wait_s = max(self._poll_s, min(wait_s * 2, MAX_BACKOFF_S))

    async def _save(self) -> None:
        if self._snapshot is None or self._is_saved:
            return
        async with self._lock:
            self._is_saved = True
            self._saved_at = asyncio.get_running_loop().time()
            try:
                await asyncio.to_thread(self._snapshot.write, self._table.entries.values())
            except OSError as error:
                log.warning("The snapshot of keys %s cannot be written: %s", self._snapshot.path, error)


def _report_end(polling: asyncio.Task[None]) -> None:
    """A bug must not leave revoked keys valid in silence."""
    if not polling.cancelled() and polling.exception() is not None:
        log.critical("Changes of keys are not followed any more", exc_info=polling.exception())


def admin_key_from(config: GatewayConfig, environ: Mapping[str, str] = os.environ) -> str | None:
    """The key that `gateway.adminKeyFrom` names, if it does. Raises ConfigError if it is not set or too short."""
    if config.admin_key_from is None:
        return None
    name = config.admin_key_from.env
    value = environ.get(name, "").strip()
    if len(value) < ADMIN_KEY_LENGTH:
        problem = f"shorter than {ADMIN_KEY_LENGTH} characters" if value else "not set"
        raise ConfigError(
            "The admin key cannot be used",
            [f"gateway.adminKeyFrom: the environment variable {name} is {problem}"],
            next_step=f"Run `export {name}=$(openssl rand -hex 32)` first.",
        )
    return value
