"""Whose files, jobs and batches a request means: a team's, or, without a team, a key's own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request

from freehold.serve.gateway.errors import NotAllowed, UnknownKey
from freehold.serve.gateway.principal import ANONYMOUS, Principal

if TYPE_CHECKING:
    from freehold.serve.gateway.keyring import KeyRing


@dataclass(frozen=True, slots=True)
class Space:
    """Who asks, and what is theirs."""

    principal: Principal
    sees_all: bool = False
    """Everybody's, as administrators do: for those who run the house, and where they only look, its viewers."""

    @property
    def name(self) -> str:
        """What new ones are put under."""
        if self.principal.team:
            return f"team:{self.principal.team}"
        return f"key:{self.principal.key_id}" if self.principal.key_id else ""

    @property
    def visible(self) -> str | None:
        """What may be read and deleted; None is everything."""
        return None if self.principal.is_admin or self.sees_all else self.name

    @property
    def key_id(self) -> str:
        return self.principal.key_id


Spaces = Callable[[Request], Awaitable[Space]]


def spaces(keyring: "KeyRing | None", *, must_tune: bool = True, shows_viewers: bool = False) -> Spaces:
    """A dependency that says whose space a request means; without a keyring there is one for everybody.

    Operators run everybody's; with `shows_viewers`, viewers look at everybody's and change nothing. It raises
    Unauthorized (401), and NotAllowed (403) for a key that may not tune where it must.
    """

    async def space(request: Request) -> Space:
        if keyring is None:
            return Space(ANONYMOUS)
        headers = request.scope["headers"]
        try:
            principal = keyring.find(headers)
        except UnknownKey:
            principal = await keyring.find_new(headers)
        if principal.is_at_least("operator"):
            return Space(principal, sees_all=True)
        if shows_viewers and principal.role == "viewer" and request.method == "GET":
            return Space(principal, sees_all=True)
        if must_tune and not principal.may_tune:
            raise NotAllowed(
                f"{principal.key_id} may not fine-tune",
                why="files and jobs take a key that may",
                next_step=f"An administrator runs `freehold keys update {principal.key_id} --may-tune`.",
                code="tuning_not_allowed",
            )
        return Space(principal)

    return space
