"""The model's name in a multipart form (audio uploads), found in place: no part is copied, none is decoded.

The format: https://www.rfc-editor.org/rfc/rfc7578
"""

import re

from freehold.serve.gateway.body import Span, missing_model
from freehold.serve.gateway.errors import RequestError

_BOUNDARY = re.compile(rb'^multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_NAME = re.compile(rb'^content-disposition:[^\r\n]*;\s*name="?([^";\r\n]*)"?', re.IGNORECASE | re.MULTILINE)
_HEADERS_LIMIT = 16 * 1024


def form_model(body: bytes, content_type: bytes) -> tuple[str, Span]:
    """The value of the form field `model` and where it stands in the body. Raises RequestError."""
    boundary = _boundary(content_type)
    for start, end in _parts(body, boundary):
        headers_end = body.find(b"\r\n\r\n", start, min(end, start + _HEADERS_LIMIT))
        if headers_end < 0:
            raise _malformed(f"the part at byte {start} has no end of headers")
        name = _NAME.search(body, start, headers_end)
        if name and name[1] == b"model":
            span = (headers_end + 4, end)
            return _value(body[slice(*span)], span), span
    raise missing_model("the form has no field 'model'")


def with_form_model(body: bytes, span: Span, model: str) -> bytes:
    """The form with the value at `span` replaced and every other byte kept."""
    return body[: span[0]] + model.encode() + body[span[1] :]


def _boundary(content_type: bytes) -> bytes:
    match = _BOUNDARY.match(content_type)
    if not match:
        given = content_type.decode("latin-1") or "no content-type"
        raise RequestError(
            "The request body is not a form", why=f"multipart/form-data was expected, got {given}", code="invalid_body"
        )
    return match[1] or match[2]


def _parts(body: bytes, boundary: bytes) -> list[Span]:
    """Each part from its first header to its last byte."""
    delimiter = b"--" + boundary
    at = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if at < 2 and not body.startswith(delimiter):
        raise _malformed(f"its boundary {boundary!r} does not occur")
    parts = []
    while not body.startswith(b"--", at + len(delimiter)):
        start = body.find(b"\r\n", at + len(delimiter)) + 2
        end = body.find(b"\r\n" + delimiter, start)
        if start < 2 or end < 0:
            raise _malformed(f"the part at byte {at} does not end")
        parts.append((start, end))
        at = end + 2
    return parts


def _value(raw: bytes, span: Span) -> str:
    try:
        value = raw.decode()
    except UnicodeDecodeError as error:
        raise _malformed(f"the field 'model' at byte {span[0]} is not UTF-8") from error
    if not value:
        raise missing_model("the form field 'model' is empty")
    return value


def _malformed(where: str) -> RequestError:
    return RequestError("The request body is not a valid form", why=where, code="invalid_form")
