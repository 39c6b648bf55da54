"""Signing in with an admin key, and out. Every try is in the audit log, and an address has only so many."""

import secrets
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from freehold.core.errors import UserError
from freehold.serve.admin.access import origin_of
from freehold.serve.audit import AuditLog, Outcome
from freehold.serve.console.console import Console
from freehold.serve.console.cookies import Cookies
from freehold.serve.console.page import ROOT, SIGN_IN, open_router, page_router, require_token
from freehold.serve.gateway.errors import NotAllowed, Unauthorized
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.gateway.principal import Principal
from freehold.serve.gateway.sessions import token_of
from freehold.serve.state.database import Database
from freehold.serve.state.key_secret import digest_of
from freehold.serve.state.sessions import Person, count_failure, failures_of

MOST_FAILURES = 10
"""From one address within two minutes of the clock; a right key waits then too."""
HOME = f"{ROOT}/overview"
LONGEST_KEY = 512


class TooManyTries(UserError):
    """One address failed to sign in too often."""

    http_status = 429
    code = "too_many_tries"


class Door:
    """Lets people in, or not, and writes it down."""

    def __init__(self, console: Console, keyring: KeyRing, database: Database, audit: AuditLog) -> None:
        self.console = console
        self.cookies = Cookies(console.config)
        self._keyring = keyring
        self._database = database
        self._audit = audit

    async def check_tries(self, request: Request) -> None:
        """Raise TooManyTries for an address that failed too often."""
        if await failures_of(self._database, origin_of(request)) >= MOST_FAILURES:
            raise TooManyTries(
                "Too many tries to sign in from this address",
                why=f"{MOST_FAILURES} have failed within two minutes",
                next_step="Wait two minutes.",
            )

    async def holder(self, key: str) -> Principal:
        """Whose key it is. Raises Unauthorized, and NotAllowed for one of an application."""
        principal = await self._keyring.find_new([(b"x-api-key", key.encode())])
        if not principal.is_at_least("viewer"):
            raise NotAllowed(
                f"{principal.key_id} may not sign in",
                why="it is the key of an application",
                next_step="Use the key of an administrator, operator or viewer.",
                code="admin_only",
            )
        return principal

    async def refuse(self, request: Request, actor: str, code: str) -> None:
        """Count and write down that somebody was not let in."""
        await count_failure(self._database, origin_of(request))
        await self.record(request, "sign_in", actor, "refused", error=code)

    async def admit(self, request: Request, person: Person, actor: str, target: str, **details: str) -> Response:
        """Begin a session, and lead to where they wanted to go. Raises AuditUnavailable before it begins."""
        await self.record(request, "sign_in", actor, "done", **details)
        answer = RedirectResponse(place_within(target), status_code=303)
        self.cookies.begin(answer, await self.console.sessions.begin(person))
        return answer

    async def record(self, request: Request, act: str, actor: str, outcome: Outcome, **details: str) -> None:
        """Write an act of signing in or out into the audit log."""

        def write() -> None:
            self._audit.record(
                f"console.{act}",
                actor=actor,
                target="console",
                outcome=outcome,
                origin=origin_of(request),
                details=details,
            )

        await run_in_threadpool(write)


def place_within(target: str) -> str:
    """The page to go to after signing in: one of the console, whatever a link says."""
    try:
        parts = urlsplit(target)
    except ValueError:  # such as brackets that are no address
        return HOME
    is_ours = not (parts.scheme or parts.netloc) and (parts.path == ROOT or parts.path.startswith(f"{ROOT}/"))
    return target if is_ours and "\\" not in target and target.isprintable() else HOME


def sign_in_router(door: Door) -> APIRouter:
    """`/console/sign-in`."""
    console, router = door.console, open_router(door.console)

    def form(request: Request, to: str, status: int = 200, problem: str = "") -> Response:
        secret = request.cookies.get(door.cookies.start_name) or secrets.token_urlsafe(32)
        answer = console.render(
            request,
            "sign_in.html.jinja",
            status=status,
            to=place_within(to),
            token=token_of(secret.encode()),
            problem=problem,
            oidc=console.config.oidc,
            is_secure=console.config.secure_cookies,
        )
        door.cookies.start(answer, secret)
        return answer

    @router.get("/sign-in")
    async def show_form(request: Request, to: str = HOME) -> Response:
        return form(request, to)

    @router.post("/sign-in")
    async def sign_in(
        request: Request, key: Annotated[str, Form()] = "", to: Annotated[str, Form()] = HOME
    ) -> Response:
        # Without the cookie no token is right: that of an empty secret is one that anybody can work out.
        secret = request.cookies.get(door.cookies.start_name) or secrets.token_urlsafe(32)
        await require_token(request, token_of(secret.encode()))
        try:
            await door.check_tries(request)
            key = key.strip()[:LONGEST_KEY]
            principal = await door.holder(key)
        except TooManyTries as error:
            return form(request, to, error.http_status, f"{error}. {error.next_step}")
        except (Unauthorized, NotAllowed) as error:
            await door.refuse(request, "unknown", error.code)
            return form(request, to, error.http_status, f"{error}. {error.next_step}")
        person = Person(proof=digest_of(key.encode()))
        return await door.admit(request, person, principal.actor, to, role=principal.role)

    return router


def sign_out_router(door: Door) -> APIRouter:
    """`/console/sign-out`."""
    router = page_router(door.console, ROOT)

    @router.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        session = door.console.session(request)
        await door.console.sessions.end(request.scope["headers"])
        await door.record(request, "sign_out", session.principal.actor, "done")
        answer = RedirectResponse(SIGN_IN, status_code=303)
        door.cookies.end(answer)
        return answer

    return router
