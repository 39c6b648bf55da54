"""Everything under `/console`: a page is a file in `pages` and an entry here."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from freehold.serve.audit import AuditLog
from freehold.serve.config import ConsoleConfig
from freehold.serve.console.assets import assets_router
from freehold.serve.console.console import Console
from freehold.serve.console.oidc import Provider
from freehold.serve.console.oidc_sign_in import CALLBACK, oidc_router
from freehold.serve.console.page import ROOT, page_router
from freehold.serve.console.pages.audit import AUDIT
from freehold.serve.console.pages.evaluations import EVALUATIONS
from freehold.serve.console.pages.jobs import JOBS
from freehold.serve.console.pages.keys import KEYS
from freehold.serve.console.pages.models import MODELS
from freehold.serve.console.pages.overview import OVERVIEW
from freehold.serve.console.pages.playground import PLAYGROUND
from freehold.serve.console.pages.usage import USAGE
from freehold.serve.console.sign_in import HOME, Door, sign_in_router, sign_out_router
from freehold.serve.gateway.errors import UnknownPath
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.gateway.sessions import SessionRing
from freehold.serve.state.database import Database

PAGES = (OVERVIEW, MODELS, PLAYGROUND, JOBS, EVALUATIONS, USAGE, KEYS, AUDIT)
"""In the order of the navigation."""


def console_router(
    config: ConsoleConfig,
    database: Database,
    sessions: SessionRing,
    keyring: KeyRing,
    audit: AuditLog,
    currency: str,
    oidc_secret: str = "",
) -> APIRouter:
    """The console's pages, behind a sign-in. Nothing is asked before a request comes."""
    console = Console(config, sessions, currency, PAGES)
    door = Door(console, keyring, database, audit)
    router = APIRouter(include_in_schema=False)
    router.include_router(assets_router())
    router.include_router(sign_in_router(door))
    router.include_router(sign_out_router(door))
    if config.oidc is not None:
        provider = Provider(config.oidc, oidc_secret, f"{config.public_url}{CALLBACK}")
        router.include_router(oidc_router(door, provider, config.oidc.roles, config.oidc.issuer))
    for page in PAGES:
        routes = page_router(console, page.path)
        page.routes(console, routes)
        router.include_router(routes)
    router.include_router(_rest(console))
    return router


def _rest(console: Console) -> APIRouter:
    router = page_router(console, ROOT)

    @router.get("")
    @router.get("/")
    async def home() -> Response:
        return RedirectResponse(HOME, status_code=303)

    @router.get("/{path:path}")
    async def nowhere(request: Request, path: str) -> Response:
        raise UnknownPath(f"The console has no page {request.url.path}", next_step="Take one from the navigation.")

    return router
