"""Multipart forms (audio uploads): their fields are found in place, no part is copied, none is decoded.

The format: https://www.rfc-editor.org/rfc/rfc7578
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from freehold.serve.gateway.body import Span, missing_model
from freehold.serve.gateway.errors import RequestError

_BOUNDARY = re.compile(rb'^multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_NAME = re.compile(rb'^content-disposition:[^\r\n]*;\s*name="?([^";\r\n]*)"?', re.IGNORECASE | re.MULTILINE)
_FILE_NAME = re.compile(rb"^content-disposition:[^\r\n]*;\s*filename\*?=", re.IGNORECASE | re.MULTILINE)
_HEADERS_LIMIT = 16 * 1024
_FIELD_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Form:
    """Where the parts of a form stand in its body."""

    model: str
    model_span: Span
    fields: dict[str, Span]
    """Of each field its first value; a field is a part with a name and without a file's name."""
    file: Span
    """Of the part `file`; empty where there is none."""
    delimiter: bytes
    end: int
    """Where the last delimiter begins."""

    def text(self, body: bytes, name: str) -> str | None:
        """The value of a field; None where it is absent, or larger than a field is."""
        start, end = self.fields.get(name, (0, 0))
        return body[start:end].decode("utf-8", "replace") if 0 < end - start <= _FIELD_LIMIT else None

    def with_fields(self, body: bytes, values: Mapping[str, str]) -> bytes:
        """The body with these fields, replaced or added, and every other byte kept."""
        changes = [(self.fields[name], value.encode()) for name, value in values.items() if name in self.fields]
        added = b"".join(
            b'%b\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n'
            % (self.delimiter, name.encode(), value.encode())
            for name, value in values.items()
            if name not in self.fields
        )
        for (start, end), value in sorted([*changes, ((self.end, self.end), added)], reverse=True):
            body = body[:start] + value + body[end:]
        return body


def read_form(body: bytes, content_type: bytes) -> Form:
    """Find the parts. Raises RequestError for what is no form, and one without the field `model`."""
    delimiter = b"--" + _boundary(content_type)
    fields: dict[str, Span] = {}
    file = (0, 0)
    spans, last = _parts(body, delimiter)
    for start, end in spans:
        headers_end = body.find(b"\r\n\r\n", start, min(end, start + _HEADERS_LIMIT))
        if headers_end < 0:
            raise _malformed(f"the part at byte {start} has no end of headers")
        name = _NAME.search(body, start, headers_end)
        if name is None:
            continue
        if _FILE_NAME.search(body, start, headers_end):
            file = (headers_end + 4, end) if name[1] == b"file" else file
        else:
            fields.setdefault(name[1].decode("utf-8", "replace"), (headers_end + 4, end))
    if "model" not in fields:
        raise missing_model("the form has no field 'model'")
    span = fields["model"]
    return Form(_value(body[slice(*span)], span), span, fields, file, delimiter, last)


def _boundary(content_type: bytes) -> bytes:
    match = _BOUNDARY.match(content_type)
    if not match:
        given = content_type.decode("latin-1") or "no content-type"
        raise RequestError(
            "The request body is not a form", why=f"multipart/form-data was expected, got {given}", code="invalid_body"
        )
    return match[1] or match[2]


def _parts(body: bytes, delimiter: bytes) -> tuple[list[Span], int]:
    """Each part from its first header to its last byte, and where the last delimiter begins."""
    at = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if at < 2 and not body.startswith(delimiter):
        raise _malformed(f"its boundary {delimiter[2:]!r} does not occur")
    parts = []
    while not body.startswith(b"--", at + len(delimiter)):
        start = body.find(b"\r\n", at + len(delimiter)) + 2
        end = body.find(b"\r\n" + delimiter, start)
        if start < 2 or end < 0:
            raise _malformed(f"the part at byte {at} does not end")
        parts.append((start, end))
        at = end + 2
    return parts, at


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
