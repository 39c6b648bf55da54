"""Scripts, styles and their licences, from the wheel: read once, served by name, never from elsewhere."""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response

from freehold.serve.console.security import HEADERS
from freehold.serve.gateway.errors import UnknownPath

FOLDER = Path(__file__).parent / "static"
PATH = "/console/static"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    "": "text/plain; charset=utf-8",
}
A_YEAR = "public, max-age=31536000, immutable"


@cache
def assets() -> dict[str, bytes]:
    """Files by their path below the folder."""
    files = (path for path in sorted(FOLDER.rglob("*")) if path.is_file() and path.suffix in MEDIA_TYPES)
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in files}


@cache
def asset_url(name: str) -> str:
    """Where a page finds this file; a changed file has another address. Raises KeyError."""
    return f"{PATH}/{name}?v={hashlib.sha256(assets()[name]).hexdigest()[:12]}"


def assets_router() -> APIRouter:
    """`/console/static`, for everybody: nothing there is secret."""
    router = APIRouter(include_in_schema=False)

    @router.get(PATH + "/{name:path}")
    async def show_asset(name: str) -> Response:
        body = assets().get(name)
        if body is None:
            raise UnknownPath(f"No such path: {PATH}/{name}")
        headers = {**HEADERS, "cache-control": A_YEAR}
        return Response(body, media_type=MEDIA_TYPES[Path(name).suffix], headers=headers)

    return router
