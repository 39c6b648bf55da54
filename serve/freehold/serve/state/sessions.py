"""Sessions of the console in the database, so that every process knows them and a sign-out ends one everywhere."""

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update
from sqlalchemy import insert as insert_into
from sqlalchemy.dialects import postgresql, sqlite

from freehold.serve.state.database import Database, now
from freehold.serve.state.key_secret import digest_of
from freehold.serve.state.tables import SessionRow, SignInRow

MINUTE_S = 60
SEEN_GAP_S = 60
"""A session that is used is written down as often as this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who signs in: the holder of a key (`proof` is its SHA-256), or a subject of an issuer with the role it gave."""

    proof: bytes | None = None
    issuer: str = ""
    subject: str = ""
    name: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord(Person):
    """A session that was valid when it was looked up. Times are epoch seconds by the database's clock."""

    created_at: float
    seen_at: float
    expires_at: float


class SessionStore:
    """Every method is one transaction; all raise DatabaseUnavailable."""

    def __init__(self, database: Database, lifetime_s: float, idle_s: float) -> None:
        self._database = database
        self._lifetime_s = lifetime_s
        self._idle_s = idle_s

    async def begin(self, person: Person) -> str:
        """The secret of a new session. Those that are over are forgotten on the way."""
        secret = secrets.token_urlsafe(32)

        def write(connection: Connection) -> None:
            at = now(connection)
            connection.execute(delete(SessionRow).where(SessionRow.expires_at < at))
            values = {
                "token_hash": digest_of(secret.encode()),
                "proof": person.proof,
                "issuer": person.issuer[:255],
                "subject": person.subject[:255],
                "name": person.name[:255],
                "role": person.role,
                "created_at": at,
                "seen_at": at,
                "expires_at": at + self._lifetime_s,
            }
            connection.execute(insert_into(SessionRow).values(values))

        await self._database.run(write)
        return secret

    async def find(self, secret: bytes) -> SessionRecord | None:
        """The session of this secret, unless it is over or was idle for too long."""
        digest = digest_of(secret)

        def read(connection: Connection) -> tuple[float, SessionRecord | None]:
            rows = connection.execute(select(SessionRow.__table__).where(SessionRow.token_hash == digest)).mappings()
            found = rows.one_or_none()
            if found is None:
                return 0.0, None
            proof = found["proof"]
            fields = {name: found[name] for name in SessionRecord.__dataclass_fields__}
            return now(connection), SessionRecord(**fields | {"proof": None if proof is None else bytes(proof)})

        at, record = await self._database.run_look(read)
        if record is None or at >= record.expires_at or at >= record.seen_at + self._idle_s:
            return None
        if at >= record.seen_at + SEEN_GAP_S:
            seen = update(SessionRow).where(SessionRow.token_hash == digest).values(seen_at=at)
            await self._database.run(lambda connection: connection.execute(seen))
        return record

    async def end(self, secret: bytes) -> None:
        """Sign out: the secret counts no more."""
        statement = delete(SessionRow).where(SessionRow.token_hash == digest_of(secret))
        await self._database.run(lambda connection: connection.execute(statement))


async def failures_of(database: Database, address: str) -> int:
    """How often this address failed to sign in within this minute and the last."""

    def read(connection: Connection) -> int:
        since = int(now(connection)) // MINUTE_S - 1
        rows = select(SignInRow.failures).where(SignInRow.address == address[:64], SignInRow.minute >= since)
        return sum(connection.scalars(rows))

    return await database.run(read)


async def count_failure(database: Database, address: str) -> None:
    """One more; what is older than these two minutes is forgotten."""

    def write(connection: Connection) -> None:
        minute = int(now(connection)) // MINUTE_S
        connection.execute(delete(SignInRow).where(SignInRow.minute < minute - 1))
        values = {"address": address[:64], "minute": minute, "failures": 1}
        dialect = sqlite if database.is_sqlite else postgresql
        statement = dialect.insert(SignInRow).values(values)
        counted = {"failures": SignInRow.failures + 1}
        connection.execute(statement.on_conflict_do_update(index_elements=["address", "minute"], set_=counted))

    await database.run(write)
