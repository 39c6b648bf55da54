"""A client's bytes become requests: httptools parses, and what it would collect without a limit is limited here."""

from collections.abc import Callable

import httptools
from starlette.types import Scope

from freehold.core.errors import UserError
from freehold.serve.gateway.http.cycle import Cycle
from freehold.serve.gateway.http.limits import MAX_HEAD_BYTES, MAX_HEADERS, MAX_TARGET_BYTES
from freehold.serve.gateway.http.refusals import HeadersTooLarge, MalformedRequest, TargetTooLong
from freehold.serve.gateway.http.scope import Headers, SocketName, http_scope


class RequestReader:
    """`on_request(scope, is_last)` makes the cycle of a request whose headers are there; it may raise UserError."""

    def __init__(
        self, client: SocketName | None, server: SocketName | None, on_request: Callable[[Scope, bool], Cycle]
    ) -> None:
        self.incoming: Cycle | None = None
        """Its headers are there, its body is not whole."""
        self.is_in_head = False
        """A request has begun, its headers are not whole."""
        self.heads = 0
        """How many requests have begun."""
        self._client, self._server = client, server
        self._on_request = on_request
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: Headers = []
        self._without_upgrade = b""
        self._is_last = False
        self._fault: UserError | None = None
        """Why a callback of the parser gave up."""
        self._overhead_bytes = 0
        """What has arrived since the last headers or piece of a body: headers without end, trailers, chunk extensions.
        The parser itself would collect them for ever."""

    def close(self) -> None:
        """Let go of the parser, which holds this object."""
        self._parser = None

    def feed(self, data: bytes) -> None:
        """Raises UserError; nothing may be fed after that."""
        if self._is_last and self.incoming is None:
            return  # what follows a `connection: close` is nobody's request
        self._overhead_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            if self._fault is not None:
                raise self._fault from error
            if isinstance(error, httptools.HttpParserCallbackError):
                raise  # a bug of ours
            if not self._is_last or self.incoming is not None:
                raise MalformedRequest(str(error)) from error
        if self._overhead_bytes > MAX_HEAD_BYTES:
            raise _too_long(self._target if self.is_in_head else b"")

    def _parse(self, data: bytes) -> None:
        rest: bytes | memoryview = data
        while True:
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                # It need not be heeded (RFC 9110, 7.8), and Java's client asks on every plain connection. The parser
                # takes what follows for another protocol: give it the same request without the wish.
                rest = memoryview(rest)[upgrade.args[0] :]
                self._parser.feed_data(self._without_upgrade)
            else:
                return

    # What httptools calls.

    def on_message_begin(self) -> None:
        self.is_in_head = True
        self.heads += 1
        self._target, self._headers = b"", []

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.is_in_head:  # not a trailer: it would join headers that were already read
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.is_in_head = False
        try:
            self._check_size()
            self._accept()
        except UserError as error:
            self._fault = error
            raise

    def on_body(self, body: bytes) -> None:
        self._overhead_bytes = 0
        if self.incoming is not None:
            self.incoming.body_arrived(body)

    def on_message_complete(self) -> None:
        cycle, self.incoming = self.incoming, None
        if cycle is not None:
            cycle.request_ended()

    def _check_size(self) -> None:
        target, headers = self._target, self._headers
        if len(target) > MAX_TARGET_BYTES or len(headers) > MAX_HEADERS:
            raise _too_long(target)
        if self._overhead_bytes > MAX_HEAD_BYTES:  # some of it may be the body's, or another request's
            size = len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
            if size > MAX_HEAD_BYTES:
                raise _too_long(target)
        self._overhead_bytes = 0

    def _accept(self) -> None:
        parser, headers = self._parser, self._headers
        method, version = parser.get_method(), parser.get_http_version()
        if method == b"CONNECT":
            raise MalformedRequest("this is no proxy")
        if parser.should_upgrade():
            lines = b"".join(b"%b: %b\r\n" % pair for pair in headers if pair[0] != b"upgrade")
            self._without_upgrade = b"%b %b HTTP/%b\r\n%b\r\n" % (method, self._target, version.encode(), lines)
            return
        scope = http_scope(method.decode(), self._target, version, headers, self._server, self._client)
        self._is_last = not parser.should_keep_alive()
        self.incoming = self._on_request(scope, self._is_last)


def _too_long(target: bytes) -> UserError:
    advice = "Send long input in the body."
    if len(target) > MAX_TARGET_BYTES:
        return TargetTooLong(f"The request line is over {MAX_TARGET_BYTES} bytes", next_step=advice)
    return HeadersTooLarge(
        f"The request's headers are over {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} in number", next_step=advice
    )
