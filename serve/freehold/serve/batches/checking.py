"""Whether every line of an input file can be asked: nothing starts before all of them can."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from freehold.core.errors import FreeholdError
from freehold.serve.batches.lines import Form, InputFile, Line, RawLine, decode_form
from freehold.serve.gateway.body import model_of, parse_object
from freehold.serve.gateway.endpoints import ENDPOINTS
from freehold.serve.gateway.errors import RequestError, message_of
from freehold.serve.gateway.parameters import check_parameters
from freehold.serve.gateway.principal import Principal
from freehold.serve.gateway.request import RelayedRequest
from freehold.serve.gateway.routing import RouteTable

MOST_TOLD = 200
"""Errors that a batch lists."""
MAX_CUSTOM_ID = 512
_MUST_HAVE = {
    "/v1/chat/completions": "messages",
    "/v1/completions": "prompt",
    "/v1/embeddings": "input",
    "/v1/responses": "input",
}
_CANNOT_HAVE = {
    "stream": "a batch's answers are lines of a file",
    "background": "the batch itself runs in the background",
}


Check = Callable[[RawLine, int], Line]
"""The line, if it can be asked; given the most bytes of a body. Raises FreeholdError."""


class Found(NamedTuple):
    """What a file holds."""

    lines: list[Line]
    errors: list[dict[str, Any]]
    """As the batch lists them; the first of them."""


class LineCheck:
    """Checks the lines of one batch: its endpoint, and what its key may ask."""

    def __init__(self, endpoint: str, table: RouteTable, principal: Principal) -> None:
        self._endpoint = ENDPOINTS[endpoint]
        self._table = table
        self._principal = principal
        self._places: dict[str, int] = {}
        """Lines of the custom ids so far."""

    def __call__(self, raw: RawLine, most_bytes: int) -> Line:
        """The line. Raises RequestError, and what the gateway would refuse the request with."""
        if raw.is_too_long:
            raise _wrong("line_too_long", f"The line is longer than a request may be ({most_bytes} bytes)")
        form = _form(raw.text)
        custom_id = self._custom_id(form, raw.number)
        if form.method != "POST":
            raise _wrong("invalid_method", f"The method is {_shown(form.method)}; it has to be POST", "method")
        if form.url != self._endpoint.path:
            raise _wrong(
                "invalid_url",
                f"The url is {_shown(form.url)}, and the batch is one of {self._endpoint.path}",
                "url",
            )
        if not form.body:
            raise _wrong("missing_required_parameter", "The line has no body", "body")
        model = self._check_body(bytes(form.body))
        return Line(raw.number, raw.offset, len(raw.text), custom_id, model)

    def _custom_id(self, form: Form, number: int) -> str:
        given = form.custom_id
        if given is None:
            raise _wrong("missing_required_parameter", "The line has no custom_id", "custom_id")
        if not isinstance(given, str) or not 0 < len(given) <= MAX_CUSTOM_ID:
            why = f"The custom_id has to be a text of 1 to {MAX_CUSTOM_ID} characters"
            raise _wrong("invalid_custom_id", why, "custom_id")
        first = self._places.setdefault(given, number)
        if first != number:
            why = f"The custom_id {_shown(given)} is that of line {first} already"
            raise _wrong("duplicate_custom_id", why, "custom_id")
        return given

    def _check_body(self, body: bytes) -> str:
        """The model that it names."""
        document = parse_object(body)
        model = model_of(document)
        for name, why in _CANNOT_HAVE.items():
            if document.get(name):
                raise _wrong("unsupported_parameter", f"`{name}` is not for batches: {why}", name)
        wanted = _MUST_HAVE[self._endpoint.path]
        if not document.get(wanted):
            raise _wrong("missing_required_parameter", f"The body has no `{wanted}`", wanted)
        request = RelayedRequest(self._endpoint, body, model, document)
        first = self._table.plan(request, self._principal, "").engines[0]
        if first.abilities is not None:
            check_parameters(self._endpoint.path, document, first.abilities)
        return model


def known_lines(raw: RawLine, most_bytes: int) -> Line:
    """A line of a file that has been checked before."""
    form = decode_form(raw.text)
    model = msgspec.json.decode(form.body)["model"]
    return Line(raw.number, raw.offset, len(raw.text), form.custom_id, model)


async def check_file(file: InputFile, check: Check, most_lines: int) -> Found:
    """Read the file from its first line to its last, a slice at a time, between which others get their turn."""
    found = Found([], [])
    count = left_out = 0
    slices = file.slices()
    while (part := await asyncio.to_thread(next, slices, None)) is not None:
        count += len(part)
        left_out += _check_slice(part, check, file.most_body_bytes, found)
        if count > most_lines:
            why = f"The file has more than {most_lines} lines (batches.maxLines)"
            return Found([], [problem("too_many_lines", None, why)])
    if not count:
        return Found([], [problem("empty_file", None, "The file has no line")])
    if left_out:
        found.errors.append(problem("more_errors", None, f"{left_out} more lines are wrong"))
    return found


def _check_slice(part: list[RawLine], check: Check, most_bytes: int, found: Found) -> int:
    """How many errors are told nowhere."""
    left_out = 0
    for raw in part:
        try:
            found.lines.append(check(raw, most_bytes))
        except FreeholdError as error:
            if len(found.errors) == MOST_TOLD:
                left_out += 1
            else:
                param = getattr(error, "param", None)
                found.errors.append(problem(error.code, raw.number, message_of(error), param))
    return left_out


def _form(text: bytes) -> Form:
    try:
        return decode_form(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong("invalid_json_line", f"The line is not a JSON object: {error}") from error


def problem(code: str, line: int | None, message: str, param: str | None = None) -> dict[str, Any]:
    """An error as a batch lists it."""
    return {"code": code, "line": line, "message": message, "param": param}


def _wrong(code: str, what: str, param: str | None = None) -> RequestError:
    return RequestError(what, code=code, param=param)


def _shown(value: Any) -> str:
    return repr(value)[:80]
