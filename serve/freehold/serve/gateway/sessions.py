"""Who a session of the console stands for: the key that was signed in with, or what an issuer's claims allow.

A cookie alone proves nothing, since a browser sends it with what other sites make it ask. It counts with the session's
token beside it, which only the console's own pages know.
"""

import asyncio
import hashlib
import hmac
import re
import time
from typing import NamedTuple

from freehold.serve.gateway.errors import KeysUnavailable, NotAllowed, Unauthorized
from freehold.serve.gateway.key_headers import presented_session, presented_token
from freehold.serve.gateway.keyring import Headers, KeyRing
from freehold.serve.gateway.principal import Principal, role_named
from freehold.serve.state.database import DatabaseUnavailable
from freehold.serve.state.sessions import Person, SessionRecord, SessionStore

_FORM = re.compile(rb"[A-Za-z0-9_-]{43}")
"""What a session's secret looks like."""
KNOWN_S = 2.0
"""For how long a look at the database holds: a page asks several questions. A sign-out elsewhere is this late."""
MOST_KNOWN = 1000


class Session(NamedTuple):
    """A session as its own pages know it."""

    principal: Principal
    name: str
    """What people call whoever signed in."""
    token: str
    """Proves that a request comes from the console's own pages."""
    expires_at: float


class SessionRing:
    """The sessions of the console, as one gateway process knows them."""

    def __init__(self, store: SessionStore, keyring: KeyRing, cookie: str) -> None:
        """`cookie` is the one name that counts: another host of the domain can set a cookie without `__Host-`."""
        self._store = store
        self._keyring = keyring
        self._cookie = cookie.encode()
        self._looking = asyncio.Lock()
        self._known: dict[bytes, tuple[float, SessionRecord]] = {}

    async def begin(self, person: Person) -> str:
        """The secret of a new session. Raises DatabaseUnavailable."""
        return await self._store.begin(person)

    async def end(self, headers: Headers) -> None:
        """Sign out. Raises DatabaseUnavailable."""
        secret = presented_session(headers, (self._cookie,))
        self._known.pop(secret, None)
        await self._store.end(secret)

    async def of(self, headers: Headers) -> Session:
        """The session in the headers' cookie, without a look at its token. Raises Unauthorized, KeysUnavailable."""
        secret = presented_session(headers, (self._cookie,))
        record = await self._record(secret) if _FORM.fullmatch(secret) else None
        if record is None:
            raise Unauthorized("The session is over", next_step="Sign in at /console.")
        principal = self._principal(record)
        return Session(principal, record.name or principal.actor, token_of(secret), record.expires_at)

    async def principal(self, headers: Headers) -> Principal:
        """Whose request this is. Raises Unauthorized, KeysUnavailable; NotAllowed without the session's token."""
        session = await self.of(headers)
        if not hmac.compare_digest(presented_token(headers), session.token.encode()):
            raise NotAllowed(
                "The session's token is missing",
                why="a cookie alone could have been sent by another site",
                next_step="Send the console's `x-csrf-token`, or an API key.",
                code="csrf",
            )
        return session.principal

    async def _record(self, secret: bytes) -> SessionRecord | None:
        at = time.monotonic()
        known = self._known.get(secret)
        if known is not None and at < known[0] + KNOWN_S:
            return known[1]
        try:
            async with self._looking:  # a flood of made-up cookies must not become one of queries
                record = await self._store.find(secret)
        except DatabaseUnavailable as error:
            raise KeysUnavailable(
                "The session cannot be checked now", why="the database does not answer", next_step="Try again."
            ) from error
        self._known.pop(secret, None)
        if record is not None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[secret] = (at, record)
        return record

    def _principal(self, record: SessionRecord) -> Principal:
        if record.proof is not None:
            return self._keyring.of_digest(record.proof)
        identity = hashlib.sha256(f"{record.issuer}\n{record.subject}".encode()).hexdigest()[:16]
        role = role_named(record.role)
        is_viewer = role in ("app", "viewer")
        return Principal(
            f"oidc_{identity}",
            owner=record.name,
            is_admin=role == "admin",
            role=role,
            may_tune=not is_viewer,
            # A viewer looks: models and routes are for those who may run them.
            models=frozenset() if is_viewer else None,
            routes=frozenset() if is_viewer else None,
            known_as=f"oidc:{record.subject}",
        )


def token_of(secret: bytes) -> str:
    """The token of a session: it follows from the cookie's secret, and does not tell it."""
    return hmac.new(secret, b"csrf", hashlib.sha256).hexdigest()
