"""Refusals in the Hub's own terms, so that huggingface_hub raises its own exceptions, and who may ask at all."""

import hmac
import logging
from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from freehold.core.errors import FreeholdError

OPEN = {"/health"}
"""Answered without a token: what a load balancer asks."""
READING = {"GET", "HEAD"}
READS_BY_POST = "paths-info"
"""Route name of the one question that the Hub's clients ask by POST."""

_log = logging.getLogger(__name__)


class RefusalError(Exception):
    """An answer that ends a request; `code` is one that huggingface_hub knows, such as RepoNotFound."""

    def __init__(
        self, status: int, message: str, code: str = "", headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers

    def response(self) -> web.Response:
        message = str(self)
        # What a client typed may be in it, and a header holds neither line breaks nor letters beyond ASCII.
        safe = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in message)
        headers = {"X-Error-Message": safe} | ({"X-Error-Code": self.code} if self.code else {})
        return web.json_response({"error": message}, status=self.status, headers=headers | dict(self.headers))


@web.middleware
async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refusals, our own errors and unknown paths as JSON. A file that differs from its lineage is never sent."""
    try:
        return await handler(request)
    except RefusalError as refusal:
        return refusal.response()
    except FreeholdError as error:
        _log.error("%s %s: %s", request.method, request.path, error)
        return RefusalError(error.http_status, str(error)).response()
    except web.HTTPNotFound:
        return RefusalError(404, "This mirror serves models only.", "RepoNotFound").response()


@web.middleware
async def read_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """405 for every write, whether or not there is such a path."""
    if request.method in READING or request.match_info.route.name == READS_BY_POST:
        return await handler(request)
    raise RefusalError(405, "This mirror is read-only.", headers={"Allow": "GET, HEAD"})


def token_required(token: str) -> Middleware:
    """Middleware: 401 unless the request carries this bearer token."""
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if request.path in OPEN or hmac.compare_digest(given, expected):
            return await handler(request)
        # huggingface_hub knows the first wording, and does not take it for a missing repository.
        message = "Invalid credentials in Authorization header" if given else "This mirror asks for a token (HF_TOKEN)"
        raise RefusalError(401, message, headers={"WWW-Authenticate": "Bearer"})

    return check
