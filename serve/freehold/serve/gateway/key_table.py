"""Every key in memory, found by the hash of its secret: what the hot path asks instead of the database."""

from collections.abc import Hashable, Iterable
from dataclasses import asdict
from typing import NamedTuple, TypeVar

from freehold.serve.gateway.errors import Unauthorized, UnknownKey
from freehold.serve.gateway.principal import Limits, Principal, role_named
from freehold.serve.state.key_secret import PREFIX, may_be_secret
from freehold.serve.state.keys import KeyState

Value = TypeVar("Value", bound=Hashable)

ASK = "Ask whoever runs this gateway for a key (`freehold keys create`)."


class Entry(NamedTuple):
    """One key: who it stands for, and which secrets prove it."""

    principal: Principal
    secret_hash: bytes
    previous_hash: bytes | None
    """The secret before the last rotation, accepted until `previous_until`."""
    previous_until: float
    is_revoked: bool


def state_of(entry: Entry) -> KeyState:
    """The opposite of `Interning.entry`."""
    who = entry.principal
    return KeyState(
        id=who.key_id,
        role=who.role,
        secret_hash=entry.secret_hash,
        previous_hash=entry.previous_hash,
        previous_until=entry.previous_until,
        team=who.team,
        owner=who.owner,
        label="may-leave" if who.may_leave else "must-stay",
        models=None if who.models is None else sorted(who.models),
        routes=None if who.routes is None else sorted(who.routes),
        **asdict(who.limits),
        expires_at=who.expires_at,
        revoked_at=0.0 if entry.is_revoked else None,
        may_tune=who.may_tune,
    )


class Interning:
    """Equal values become one object: thousands of keys share a few teams, limits and lists of models."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, Hashable] = {}

    def one(self, value: Value) -> Value:
        return self._seen.setdefault(value, value)  # type: ignore[return-value]

    def names(self, names: Iterable[str] | None) -> frozenset[str] | None:
        return None if names is None else self.one(frozenset(self.one(name) for name in names))

    def entry(self, state: KeyState) -> Entry:
        """The key as it is kept."""
        limits = Limits(
            state.requests_per_minute,
            state.tokens_per_minute,
            state.concurrent_requests,
            state.monthly_tokens,
            state.monthly_money,
        )
        principal = Principal(
            state.id,
            self.one(state.team),
            self.one(state.owner),
            is_admin=state.role == "admin",
            role=role_named(state.role),
            may_leave=state.label == "may-leave",
            may_tune=state.may_tune,
            models=self.names(state.models),
            routes=self.names(state.routes),
            limits=self.one(limits),
            expires_at=state.expires_at,
        )
        return Entry(
            principal,
            bytes(state.secret_hash),
            None if state.previous_hash is None else bytes(state.previous_hash),
            state.previous_until or 0.0,
            state.revoked_at is not None,
        )


class KeyTable:
    """Keys by id and by hash. Lookups never wait; a change is a few dictionary operations."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries: dict[str, Entry] = {}
        self._by_hash: dict[bytes, Entry] = {}
        for entry in entries:
            self.put(entry)

    def put(self, entry: Entry) -> None:
        """Take the key as it is now."""
        old = self.entries.get(entry.principal.key_id)
        if old is not None:
            for digest in (old.secret_hash, old.previous_hash):
                self._by_hash.pop(digest, None)  # type: ignore[arg-type]
        self.entries[entry.principal.key_id] = entry
        self._by_hash[entry.secret_hash] = entry
        if entry.previous_hash is not None:
            self._by_hash[entry.previous_hash] = entry

    def valid_ids(self) -> set[str]:
        """Keys that were not revoked."""
        return {key_id for key_id, entry in self.entries.items() if not entry.is_revoked}

    def get(self, digest: bytes) -> Entry | None:
        """The key that this hash belongs to, valid or not."""
        return self._by_hash.get(digest)


def refuse_unknown(secret: bytes) -> Unauthorized:
    """The error for a secret that no key has; UnknownKey if one could."""
    if may_be_secret(secret):
        return UnknownKey("The API key is not known here", next_step=ASK)
    return Unauthorized("This is no API key of this gateway", why=f"those begin with {PREFIX}", next_step=ASK)


def refuse_invalid(entry: Entry, digest: bytes, now: float) -> None:
    """Raise Unauthorized if the key, or this secret of it, does not count any more."""
    if entry.is_revoked:
        raise Unauthorized("The API key was revoked", next_step=ASK)
    expires_at = entry.principal.expires_at
    if expires_at is not None and now >= expires_at:
        raise Unauthorized("The API key has expired", next_step=ASK)
    if digest != entry.secret_hash and now >= entry.previous_until:
        raise Unauthorized(
            "The API key was replaced",
            why="it was rotated, and its grace period is over",
            next_step="Use the new one, or ask whoever runs this gateway for it.",
        )
