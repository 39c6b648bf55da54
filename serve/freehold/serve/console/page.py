"""What a page of the console is, and the route that all of them have in common."""

import hmac
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from freehold.core.errors import FreeholdError
from freehold.serve.console.security import PAGE_HEADERS
from freehold.serve.gateway.errors import NotAllowed, Unauthorized
from freehold.serve.gateway.key_headers import TOKEN_HEADER
from freehold.serve.gateway.principal import Role

if TYPE_CHECKING:
    from freehold.serve.console.console import Console

ROOT = "/console"
SIGN_IN = f"{ROOT}/sign-in"
SAFE = ("GET", "HEAD")
TOKEN_FIELD = "csrf"

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True)
class Page:
    """An entry of the navigation, and the routes behind it."""

    name: str
    """Last part of its path: `/console/<name>`."""
    title: str
    routes: "Callable[[Console, APIRouter], None]"
    """Adds its routes to a router whose prefix is the page's path."""
    needs: Role = "viewer"
    """Who finds it in the navigation. What it may do is decided by the API that it asks."""

    @property
    def path(self) -> str:
        return f"{ROOT}/{self.name}"


def page_router(console: "Console", prefix: str) -> APIRouter:
    """A router for pages: who is not signed in is sent to do so, changes need the token, errors are shown as pages."""

    class PageRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            return _guarded(console, super().get_route_handler())

    return APIRouter(prefix=prefix, include_in_schema=False, route_class=PageRoute)


def open_router(console: "Console") -> APIRouter:
    """A router for pages that nobody need be signed in for: no session, no token, otherwise the same."""

    class OpenRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            return _open(console, super().get_route_handler())

    return APIRouter(prefix=ROOT, include_in_schema=False, route_class=OpenRoute)


def _open(console: "Console", handler: Handler) -> Handler:
    async def opened(request: Request) -> Response:
        try:
            answer = await handler(request)
        except FreeholdError as error:
            answer = console.show_error(request, error)
        return _with_headers(answer)

    return opened


def _guarded(console: "Console", handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        try:
            request.state.session = await console.sessions.of(request.scope["headers"])
            if request.method not in SAFE:
                await require_token(request, request.state.session.token)
            answer = await handler(request)
        except FreeholdError as error:
            if error.http_status == Unauthorized.http_status:
                answer = _to_sign_in(request)
            else:
                answer = console.show_error(request, error)
        return _with_headers(answer)

    return guarded


def _with_headers(answer: Response) -> Response:
    for name, value in PAGE_HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


async def require_token(request: Request, expected: str) -> None:
    """Raise NotAllowed unless the request brings the session's token, in a header or in its form."""
    given = request.headers.get(TOKEN_HEADER.decode())
    if given is None:
        field = (await request.form()).get(TOKEN_FIELD)
        given = field if isinstance(field, str) else ""
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise NotAllowed(
            "This change was not asked for by the console's own page",
            why="the session's token is missing or another's",
            next_step="Load the page again and repeat it.",
            code="csrf",
        )


def is_fragment(request: Request) -> bool:
    """Whether htmx asks, for a part of a page."""
    return request.headers.get("hx-request") == "true"


def _to_sign_in(request: Request) -> Response:
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    place = SIGN_IN + (f"?to={quote(target, safe='/')}" if request.method in SAFE and not is_fragment(request) else "")
    if is_fragment(request):
        return Response(headers={"hx-redirect": place}, status_code=Unauthorized.http_status)
    return RedirectResponse(place, status_code=303)
