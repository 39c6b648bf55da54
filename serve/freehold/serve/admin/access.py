"""Who may administer, and how far: the key's role, or that of a session of the console."""

from collections.abc import Awaitable, Callable

from fastapi import Request

from freehold.serve.gateway.errors import NotAllowed
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.gateway.principal import Principal, Role

Guard = Callable[[Request], Awaitable[Principal]]


def require_role(keyring: KeyRing, needed: Role, *, to_change: Role | None = None) -> Guard:
    """A dependency that lets those through who are `needed` or more, as `request.state.principal`.

    `to_change` is needed for every method but GET. It raises Unauthorized (401) without a valid key or session,
    NotAllowed (403) for a role that reaches less far, and for a session without its token.
    """

    async def guard(request: Request) -> Principal:
        principal = await keyring.find_new(request.scope["headers"])
        role = needed if to_change is None or request.method in ("GET", "HEAD") else to_change
        if not principal.is_at_least(role):
            raise _refused(principal, role)
        request.state.principal = principal
        return principal

    return guard


def require_admin(keyring: KeyRing) -> Guard:
    """The same for administrators alone."""
    return require_role(keyring, "admin")


def origin_of(request: Request) -> str:
    """The client's address, for the audit log; empty where there is none."""
    return request.client.host if request.client else ""


def _refused(principal: Principal, needed: Role) -> NotAllowed:
    if principal.role == "app":
        return NotAllowed(
            f"{principal.actor} may not administer this gateway",
            why="it is the key of an application",
            next_step="Use an admin key (`freehold keys create --admin`).",
            code="admin_only",
        )
    return NotAllowed(
        f"{principal.actor} may not do this",
        why=f"it takes the role {needed}, and this is a {principal.role}",
        next_step="Ask an administrator.",
        code="role_too_low",
    )
