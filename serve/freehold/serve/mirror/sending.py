"""Sending one file: headers as the Hub sends them, the body by sendfile straight from the page cache."""

import asyncio
from io import FileIO
from pathlib import PurePosixPath
from urllib.parse import quote

from aiohttp import web

from freehold.core.store import FileRecord
from freehold.serve.mirror.blobs import is_lfs
from freehold.serve.mirror.catalogue import Revision
from freehold.serve.mirror.opening import open_served
from freehold.serve.mirror.ranges import Span, UnsatisfiableRangeError, is_unchanged, requested_span


async def send(request: web.Request, revision: Revision, record: FileRecord, etag: str) -> web.StreamResponse:
    """Answer a GET or HEAD for one file: 200, 206, 304 or 416."""
    headers = _headers(revision, record, etag)
    if is_unchanged(request.headers, etag):
        return web.Response(status=304, headers=headers)
    try:
        span = requested_span(request.headers, record.size_bytes, etag)
    except UnsatisfiableRangeError:
        return web.Response(status=416, headers=headers | {"Content-Range": f"bytes */{record.size_bytes}"})
    with open_served(revision.artifact.path, record) as stream:
        response = web.StreamResponse(status=206 if span else 200, headers=headers)
        if span:
            response.headers["Content-Range"] = span.content_range(record.size_bytes)
        whole = span or Span(0, record.size_bytes)
        response.content_length = whole.length
        await response.prepare(request)
        if request.method == "GET" and not await _send_body(request, stream, whole):
            return response
    await response.write_eof()
    return response


async def _send_body(request: web.Request, stream: FileIO, span: Span) -> bool:
    """Whether the whole span was sent. False when the client left, or when the file shrank meanwhile."""
    transport = request.transport
    if transport is None or transport.is_closing():
        return False
    if not span.length:
        return True
    try:
        sent = await asyncio.get_running_loop().sendfile(transport, stream, span.start, span.length)
    except ConnectionError:
        sent = 0
    if sent < span.length:
        # A broken connection is the only honest end of a body that is too short.
        transport.abort()
    return sent == span.length


def _headers(revision: Revision, record: FileRecord, etag: str) -> dict[str, str]:
    name = PurePosixPath(record.path).name
    headers = {
        "ETag": f'"{etag}"',
        "Accept-Ranges": "bytes",
        "X-Repo-Commit": revision.commit,
        "Content-Type": "application/octet-stream" if is_lfs(record) else "text/plain; charset=utf-8",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name)}",
        "X-Content-Type-Options": "nosniff",
    }
    if is_lfs(record):
        headers |= {"X-Linked-Size": str(record.size_bytes), "X-Linked-Etag": f'"{etag}"'}
    return headers
