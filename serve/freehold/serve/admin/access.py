"""Who may administer: whoever sends the key of an administrator."""

from collections.abc import Awaitable, Callable

from fastapi import Request

from freehold.serve.gateway.errors import NotAllowed
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.gateway.principal import Principal


def require_admin(keyring: KeyRing) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency that lets administrators through, as `request.state.principal`; it raises for all others.

    Unauthorized (401) without a valid key, NotAllowed (403) with that of an application.
    """

    async def admin(request: Request) -> Principal:
        principal = await keyring.find_new(request.scope["headers"])
        if not principal.is_admin:
            raise NotAllowed(
                f"{principal.key_id} may not administer this gateway",
                why="it is the key of an application",
                next_step="Use an admin key (`freehold keys create --admin`).",
                code="admin_only",
            )
        request.state.principal = principal
        return principal

    return admin
