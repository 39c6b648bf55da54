"""Who asks, as the gateway sees them: what a script or a page needs to know before it tries."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from freehold.serve.gateway.principal import Principal, Role


class ShownSession(BaseModel):
    """The key or session that the request was sent with."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["session"] = "session"
    actor: str
    """What the audit log calls it."""
    role: Role
    team: str


def session_router() -> APIRouter:
    """`/admin/v1/session`; whoever mounts it lets viewers in."""
    router = APIRouter(prefix="/admin/v1/session", tags=["session"])

    @router.get("")
    async def show_session(request: Request) -> ShownSession:
        principal: Principal = request.state.principal
        return ShownSession(actor=principal.actor, role=principal.role, team=principal.team)

    return router
