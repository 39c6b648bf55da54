"""A request's head as ASGI describes it: https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope"""

from urllib.parse import unquote

import httptools
from starlette.types import Scope

from freehold.serve.gateway.http.refusals import MalformedRequest

Headers = list[tuple[bytes, bytes]]
SocketName = tuple[str, int]

_ASGI = {"version": "3.0", "spec_version": "2.3"}
"""2.3: `send` says nothing when the client has left, `receive` does."""


def http_scope(
    method: str,
    target: bytes,
    version: str,
    headers: Headers,
    server: SocketName | None,
    client: SocketName | None,
) -> Scope:
    """Raises MalformedRequest."""
    if version not in ("1.1", "1.0"):
        raise MalformedRequest(f"HTTP/{version} is not spoken here")
    raw_path, query = _split(target)
    path = raw_path.decode("ascii")
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": version,
        "method": method,
        "scheme": "http",
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": client,
        "server": server,
        "state": {},
    }


def _split(target: bytes) -> tuple[bytes, bytes]:
    """(path, query) of `/path?query`, of `http://host/path?query`, and of the `*` that an OPTIONS may ask for."""
    if target.startswith(b"/") and b"#" not in target:
        path, _, query = target.partition(b"?")
        return path, query
    if target == b"*":
        return target, b""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError as error:
        raise MalformedRequest("the request target is not a path") from error
    if url.schema is None and url.host is not None:  # what a CONNECT asks for
        raise MalformedRequest("the request target is not a path")
    return url.path or b"/", url.query or b""
