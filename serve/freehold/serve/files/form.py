"""A `multipart/form-data` body read as it comes: fields in memory, the file handed on piece by piece.

https://datatracker.ietf.org/doc/html/rfc7578
"""

from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from freehold.serve.gateway.errors import RequestError

MAX_FIELD_BYTES = 4096
MAX_PARTS = 16
FILE = "file"


class StreamedForm:
    """Feed it with `write`, then call `end`. Raises RequestError on what is no form, or one with too much in it."""

    def __init__(self, content_type: str, on_file: Callable[[bytes], None]) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            given = content_type or "no content-type"
            raise RequestError(
                "The request body is not a form",
                why=f"multipart/form-data was expected, got {given[:200]}",
                code="invalid_body",
            )
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        """Of the part `file`; None until that has come."""
        self._on_file = on_file
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._disposition = b""
        self._name = ""
        self._value = bytearray()
        self._parts = 0
        self._is_over = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._data,
                    "on_part_end": self._end,
                    "on_end": self._finish,
                },
            )
        except FormParserError as error:  # a boundary that is none
            raise _malformed(str(error)) from error

    def write(self, data: bytes) -> None:
        """Take the next piece of the body."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def end(self) -> None:
        """The body is over: it must be whole, with a file in it."""
        if not self._is_over:
            raise _malformed("it breaks off before its last boundary")
        if self.filename is None:
            raise RequestError(
                "The form has no file", why=f"it has no part '{FILE}' with a filename", code="missing_file", param=FILE
            )

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise _malformed(f"it has more than {MAX_PARTS} parts")
        self._disposition, self._value = b"", bytearray()

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = (bytearray(), bytearray())

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode(errors="replace")
        filename = options.get(b"filename")
        if not self._name:
            raise _malformed(f"its part {self._parts} has no name")
        if self._name in self.fields or (self._name == FILE and self.filename is not None):
            raise RequestError(
                f"The field '{self._name}' is given more than once",
                why="only one value could count",
                code="repeated_parameter",
                param=self._name,
            )
        if self._name == FILE and filename is not None:
            self.filename = filename.decode(errors="replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE and self.filename is not None:
            self._on_file(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > MAX_FIELD_BYTES:
            raise _malformed(f"its field '{self._name[:64]}' is over {MAX_FIELD_BYTES} bytes")

    def _end(self) -> None:
        if self._name != FILE or self.filename is None:
            self.fields[self._name] = self._value.decode(errors="replace")

    def _finish(self) -> None:
        self._is_over = True


def _malformed(why: str) -> RequestError:
    return RequestError("The request body is not a valid form", why=why, code="invalid_form")
