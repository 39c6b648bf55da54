"""Signing in by an identity provider.

Nothing is kept between leaving and coming back but one secret in a cookie, from which state, nonce and PKCE's verifier
follow; so any process can receive whoever comes back.
"""

import base64
import hashlib
import hmac
import secrets

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from freehold.core.errors import FreeholdError
from freehold.serve.config import OidcRoles
from freehold.serve.console.oidc import Claims, Provider, SignInRefused, claim_of
from freehold.serve.console.page import ROOT, open_router
from freehold.serve.console.sign_in import HOME, Door, place_within
from freehold.serve.gateway.errors import NotAllowed
from freehold.serve.gateway.principal import Role
from freehold.serve.state.sessions import Person

CALLBACK = f"{ROOT}/oidc/callback"
EVERYBODY = "*"
NAMES = ("name", "preferred_username", "email", "sub")


def oidc_router(door: Door, provider: Provider, roles: OidcRoles, issuer: str) -> APIRouter:
    """`/console/oidc/start` and `/console/oidc/callback`."""
    router = open_router(door.console)

    @router.get("/oidc/start")
    async def start(request: Request, to: str = HOME) -> Response:
        secret = secrets.token_urlsafe(32)
        url = await provider.url(_state(secret, place_within(to)), _part(secret, "nonce"), _part(secret, "verifier"))
        answer = RedirectResponse(url, status_code=303)
        door.cookies.start(answer, secret)
        return answer

    @router.get("/oidc/callback")
    async def come_back(request: Request, state: str = "", code: str = "", error: str = "") -> Response:
        secret = request.cookies.get(door.cookies.start_name, "")
        to = _place(state)
        try:
            if not secret or not hmac.compare_digest(state.encode(), _state(secret, to).encode()):
                raise SignInRefused("This sign-in was not begun in this browser", next_step="Begin it again.")
            if error or not code:
                raise SignInRefused("The identity provider refused the sign-in", why=error or "it sent no code")
            claims = await provider.claims(code, _part(secret, "nonce"), _part(secret, "verifier"))
        except FreeholdError as problem:
            await door.record(request, "sign_in", "unknown", "refused", error=problem.code, issuer=issuer)
            raise
        actor, name = f"oidc:{claims['sub']}", _name(claims)
        role = role_by(roles, claims)
        if role is None:
            await door.record(request, "sign_in", actor, "refused", error="no_role", issuer=issuer, name=name)
            raise NotAllowed(
                f"{name} may not use this console",
                why=f"no value of the claim '{roles.claim}' gives a role",
                next_step="Ask whoever runs the gateway for one (gateway.console.oidc.roles).",
                code="no_role",
            )
        person = Person(issuer=issuer, subject=str(claims["sub"]), name=name, role=role)
        return await door.admit(request, person, actor, to, role=role, issuer=issuer, name=name)

    return router


def role_by(roles: OidcRoles, claims: Claims) -> Role | None:
    """The highest role that the claims give; None if they give none."""
    value = claim_of(claims, roles.claim)
    values = {str(each) for each in value} if isinstance(value, list) else {str(value)} if value is not None else set()
    ranked: tuple[tuple[Role, tuple[str, ...]], ...] = (
        ("admin", roles.admin),
        ("operator", roles.operator),
        ("viewer", roles.viewer),
    )
    for role, names in ranked:
        if values & set(names) or (role == "viewer" and EVERYBODY in names):
            return role
    return None


def _name(claims: Claims) -> str:
    return next(str(claims[name]) for name in NAMES if claims.get(name))


def _part(secret: str, what: str) -> str:
    """A value that only who holds the cookie's secret can know; 64 characters, as PKCE allows."""
    return hmac.new(secret.encode(), what.encode(), hashlib.sha256).hexdigest()


def _state(secret: str, to: str) -> str:
    return f"{_part(secret, f'state {to}')}.{base64.urlsafe_b64encode(to.encode()).decode()}"


def _place(state: str) -> str:
    try:
        return place_within(base64.urlsafe_b64decode(state.partition(".")[2].encode()).decode())
    except ValueError:
        return HOME
