"""From the bytes of an exchange to its record."""

import hashlib
import json
import zlib
from datetime import UTC, datetime
from typing import Any

from freehold.core.recording import RecordedExchange
from freehold.serve.recording.media import without_media
from freehold.serve.recording.raw import RawExchange
from freehold.serve.recording.streams import assemble

_INFLATED_LIMIT = 64 * 1024 * 1024
"""A small compressed answer must not fill the memory."""
_GZIP_OR_ZLIB = 47


def record_of(raw: RawExchange) -> RecordedExchange:
    """The record of an exchange, with its media replaced by stubs; nothing is redacted yet."""
    document = _json_object(raw.request)
    request, media_in_request = without_media(_omitted(raw.request) if document is None else document)
    answer, is_whole = _answer(raw)
    response, media_in_response = without_media(answer)
    return RecordedExchange(
        id=raw.id,
        time=datetime.fromtimestamp(raw.started_unix_s, UTC),
        route=raw.route,
        model=raw.model,
        endpoint=raw.endpoint,
        key_id=raw.key_id,
        team=raw.team,
        kind=raw.kind,
        status=raw.status,
        latency_s=round(raw.latency_s, 6),
        ttft_s=None if raw.ttft_s is None else round(raw.ttft_s, 6),
        request=request,
        response=response,
        truncated=raw.truncated or not is_whole,
        media_omitted=media_in_request + media_in_response,
        fingerprint=raw.fingerprint,
        shadow_of=raw.shadow_of,
    )


def _answer(raw: RawExchange) -> tuple[dict[str, Any], bool]:
    """The answer as an object, and whether all of it is there."""
    body, is_whole = _inflated(b"".join(raw.response), raw.content_encoding.strip().lower())
    if body is None:
        return _omitted(b"".join(raw.response)), False
    if raw.content_type.strip().lower().startswith(b"text/event-stream"):
        assembled = assemble(raw.endpoint, (body,))
        return assembled.answer, is_whole and assembled.is_whole
    document = _json_object(body)
    if document is not None:
        return document, is_whole
    try:
        # A transcript may be plain text; an answer that broke off is what there is of its JSON.
        return {"text": body.decode()}, is_whole
    except UnicodeDecodeError:
        return _omitted(body), False


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _omitted(body: bytes) -> dict[str, Any]:
    return {"omitted": {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}}


def _inflated(body: bytes, encoding: bytes) -> tuple[bytes | None, bool]:
    """The body without its content-encoding, and whether that is all of it; None where it cannot be undone."""
    if encoding in (b"", b"identity"):
        return body, True
    if encoding not in (b"gzip", b"x-gzip", b"deflate"):
        return None, False
    inflating = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        return inflating.decompress(body, _INFLATED_LIMIT), inflating.eof
    except zlib.error:
        return None, False
