"""The keys in the database: made, listed, changed, rotated, revoked, and what has changed since a look before."""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, and_, or_, select, update
from sqlalchemy import insert as insert_into

from freehold.core.errors import NotFoundError, UserError
from freehold.serve.state.database import Database, now
from freehold.serve.state.key_fields import MAX_GRACE_S, KeyChanges, NewKey
from freehold.serve.state.key_secret import Secret, new_secret
from freehold.serve.state.tables import KeyRow, RevisionRow

Status = Literal["active", "expired", "revoked"]

_ID = re.compile(r"key_[0-9a-f]{12}")
_PAGE_ROWS = 5000
"""Rows that the driver holds at once while all are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A key as people see it: all but its hashes. Fields are the table's columns, explained there."""

    id: str
    name: str
    role: str
    hint: str
    team: str
    owner: str
    label: str
    may_tune: bool
    models: list[str] | None
    routes: list[str] | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_requests: int | None
    monthly_tokens: int | None
    monthly_money: int | None
    """Millionths of the gateway's currency."""
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    previous_until: float | None

    def status(self, at: float) -> Status:
        """What a gateway says to it at that time."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and at >= self.expires_at else "active"


class KeyState(NamedTuple):
    """A key as a gateway needs it."""

    id: str
    role: str
    secret_hash: bytes
    previous_hash: bytes | None
    previous_until: float | None
    team: str
    owner: str
    label: str
    models: list[str] | None
    routes: list[str] | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_requests: int | None
    monthly_tokens: int | None
    monthly_money: int | None
    expires_at: float | None
    revoked_at: float | None
    may_tune: bool = False


_RECORD = [getattr(KeyRow, field.name) for field in fields(KeyRecord)]
_STATE = [getattr(KeyRow, name) for name in KeyState._fields]

Created = tuple[KeyRecord, str]
Records = list[KeyRecord]
States = list[KeyState]


class KeyStore:
    """Keys in one database. Every method is one transaction and blocks; all raise DatabaseUnavailable.

    A change takes the next revision before it does anything else. The lock of that one row makes changes commit in
    the order of their revisions, so whoever has read up to a revision has missed nothing below it.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def create(self, new: NewKey, key_id: str = "") -> Created:
        """The new key and its secret, which nobody can ask for again; `key_id` is one of `new_key_id`."""
        return self.database.call(lambda connection: _create(connection, {key_id or new_key_id(): new})[0])

    def create_many(self, new: Sequence[NewKey]) -> list[Created]:
        """The same for several keys, in one change."""
        return self.database.call(lambda connection: _create(connection, {new_key_id(): key for key in new}))

    def list(
        self,
        team: str | None = None,
        include_revoked: bool = False,
        after: str | None = None,
        limit: int | None = None,
    ) -> Records:
        """Keys, oldest first; a page of `limit` that follows the key `after`. Raises NotFoundError for that one."""
        if team is not None and not team.isprintable():
            return []  # no team can be called so, and PostgreSQL would refuse the text
        query = select(*_RECORD).order_by(KeyRow.created_at, KeyRow.id).limit(limit)
        if team is not None:
            query = query.where(KeyRow.team == team)
        if not include_revoked:
            query = query.where(KeyRow.revoked_at.is_(None))

        def read(connection: Connection) -> Records:
            page = query
            if after is not None:
                last = _read(connection, after)
                same = and_(KeyRow.created_at == last.created_at, KeyRow.id > last.id)
                page = query.where(or_(KeyRow.created_at > last.created_at, same))
            return [KeyRecord(**row) for row in connection.execute(page).mappings()]

        return self.database.call(read)

    def get(self, key_id: str) -> KeyRecord:
        """The key with this id. Raises NotFoundError."""
        return self.database.call(lambda connection: _read(connection, key_id))

    def update(self, key_id: str, changes: KeyChanges) -> KeyRecord:
        """The key after the change. Raises NotFoundError, and UserError for a key that was revoked."""

        def change(connection: Connection) -> KeyRecord:
            revision = _next_revision(connection)
            _require(_read(connection, key_id), "changed")
            return _write(connection, key_id, revision, changes.columns(now(connection)))

        return self.database.call(change)

    def rotate(self, key_id: str, grace_s: float = 0) -> Created:
        """The key with a new secret; the old one works for `grace_s` more. A third one, older still, ends at once.

        Raises NotFoundError, and UserError for a key that was revoked or has expired.
        """
        if not 0 <= grace_s <= MAX_GRACE_S:
            raise UserError(
                f"A grace period of {grace_s:g} s is not possible",
                why=f"it lies between 0 and {MAX_GRACE_S} s (30 days)",
            )

        def change(connection: Connection) -> Created:
            revision = _next_revision(connection)
            time = now(connection)
            _require(_read(connection, key_id), "rotated", time)
            secret = new_secret()
            old = connection.scalar(select(KeyRow.secret_hash).where(KeyRow.id == key_id))
            values = {"previous_hash": old, "previous_until": time + grace_s, **_stored(secret)}
            return _write(connection, key_id, revision, values), secret.text

        return self.database.call(change)

    def revoke(self, key_id: str) -> KeyRecord:
        """The key, which nothing makes valid again; its row stays. Raises NotFoundError."""

        def change(connection: Connection) -> KeyRecord:
            revision = _next_revision(connection)
            record = _read(connection, key_id)
            if record.revoked_at is not None:
                return record
            return _write(connection, key_id, revision, {"revoked_at": now(connection)})

        return self.database.call(change)

    def changed_since(self, revision: int) -> tuple[States, int]:
        """Keys that changed after `revision`, and the revision that is now known in full."""

        def read(connection: Connection) -> tuple[States, int]:
            latest = read_revision(connection)
            return [*read_states(connection, revision)], latest

        return self.database.call(read)


def read_revision(connection: Connection) -> int:
    """How many changes there were. Read it before the states: the other order would lose what commits in between."""
    return connection.scalar(select(RevisionRow.value)) or 0


def read_states(connection: Connection, since: int) -> Iterator[KeyState]:
    """Keys that changed after this revision, fetched while they are iterated over inside the transaction."""
    query = select(*_STATE).where(KeyRow.revision > since)
    rows = connection.execute(query, execution_options={"yield_per": _PAGE_ROWS})
    return (KeyState(*row) for row in rows)


def grant_model(connection: Connection, key_id: str, model: str) -> None:
    """Let a key name one more model, if it is one of those that may not name all; nothing for a key that is gone."""
    if not _ID.fullmatch(key_id):
        return  # that of the environment, or nobody's
    revision = _next_revision(connection)
    record = _read(connection, key_id)
    is_scoped = record.models is not None or record.routes is not None
    if record.revoked_at is None and is_scoped and model not in (record.models or ()):
        _write(connection, key_id, revision, {"models": [*(record.models or ()), model]})


def new_key_id() -> str:
    """An id that no key has, for whoever must name the key before it is made, as the audit log does."""
    return f"key_{uuid.uuid4().hex[:12]}"


def _create(connection: Connection, new: Mapping[str, NewKey]) -> list[Created]:
    revision = _next_revision(connection)
    time = now(connection)
    rows: list[dict[str, Any]] = []
    created: list[Created] = []
    for key_id, key in new.items():
        secret = new_secret()
        defaults = key.model_dump(include={"role", "team", "owner", "label", "may_tune"})
        unset = dict.fromkeys(field.name for field in fields(KeyRecord))
        about = {"id": key_id, "created_at": time, **_stored(secret)}
        row = {**unset, **defaults, **key.columns(time), **about, "revision": revision}
        rows.append(row)
        created.append((KeyRecord(**{name: row[name] for name in unset}), secret.text))
    if rows:
        connection.execute(insert_into(KeyRow), rows)
    return created


def _stored(secret: Secret) -> dict[str, Any]:
    return {"secret_hash": secret.digest, "hint": secret.hint}


def _next_revision(connection: Connection) -> int:
    advance = update(RevisionRow).values(value=RevisionRow.value + 1).returning(RevisionRow.value)
    revision = connection.scalar(advance)
    assert revision is not None, "the migration writes the one row of key_revision"
    return revision


def _read(connection: Connection, key_id: str) -> KeyRecord:
    query = select(*_RECORD).where(KeyRow.id == key_id)
    row = connection.execute(query).mappings().one_or_none() if _ID.fullmatch(key_id) else None
    if row is None:
        raise NotFoundError(f"No key {key_id!r}", next_step="`freehold keys list --all` shows every key.")
    return KeyRecord(**row)


def _write(connection: Connection, key_id: str, revision: int, values: dict[str, Any]) -> KeyRecord:
    connection.execute(update(KeyRow).where(KeyRow.id == key_id).values(revision=revision, **values))
    return _read(connection, key_id)


def _require(record: KeyRecord, verb: str, at: float | None = None) -> None:
    """Raise UserError for a key that was revoked and, with `at`, for one that has expired by then."""
    if record.revoked_at is not None:
        raise UserError(f"{record.id} cannot be {verb}", why="it was revoked", next_step="Create another key.")
    if at is not None and record.status(at) == "expired":
        raise UserError(
            f"{record.id} cannot be {verb}", why="it has expired", next_step="Set a new expiry first, then rotate it."
        )
