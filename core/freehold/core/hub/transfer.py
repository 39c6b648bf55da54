"""One file from a URL into an `Incoming`: streamed, resumed by range, tried again a bounded number of times."""

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass

import httpx2
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import get_session, hf_raise_for_status

from freehold.core.hub.body import read_body
from freehold.core.hub.receive import Incoming
from freehold.core.hub.snapshot import RemoteFile
from freehold.core.progress import ByteProgress, hint, human_bytes

READ_TIMEOUT_S = 20.0
TIMEOUT = httpx2.Timeout(READ_TIMEOUT_S, connect=10.0)
PASSING_STATUS = {408, 429, 500, 502, 503, 504}
PROGRESS_BYTES = 16 << 20
"""A try that brought this much was no failure; it starts the count anew."""


@dataclass(frozen=True)
class Retries:
    """How stubborn a transfer is: the waits double from the first."""

    attempts: int = 5
    first_wait_s: float = 1.0


def transfer(
    url: str,
    headers: dict[str, str],
    file: RemoteFile,
    incoming: Incoming,
    progress: ByteProgress,
    retries: Retries,
    stopped: threading.Event,
) -> None:
    """Write everything after `incoming.offset`. Asks for nothing when nothing is missing.

    Raises what the HTTP client raises once the retries are spent, CancelledError when `stopped` is set.
    """
    position, failures = incoming.offset, 0
    # A connection that nobody reads from is cut by the other side, so the partial is hashed before there is one.
    while not incoming.caught_up(timeout_s=0.5):
        if stopped.is_set():
            raise CancelledError
    while position < file.size_bytes:
        began = position
        try:
            for block in _blocks(url, headers, position):
                if stopped.is_set():
                    raise CancelledError
                incoming.write(block)
                position += len(block)
                progress.advance(len(block))
            if position < file.size_bytes:
                raise httpx2.RemoteProtocolError("the connection ended before the file did")
        except (httpx2.TransportError, HfHubHTTPError) as error:
            failures = 1 if position - began >= PROGRESS_BYTES else failures + 1
            if failures > retries.attempts or not _may_pass(error):
                raise
            wait_s = retries.first_wait_s * 2 ** (failures - 1)
            hint(
                f"{file.path}: interrupted at {human_bytes(position)} of {human_bytes(file.size_bytes)} "
                f"({_reason(error)}); going on in {wait_s:.0f} s, try {failures} of {retries.attempts}"
            )
            stopped.wait(wait_s)


def _blocks(url: str, headers: dict[str, str], position: int) -> Iterator[bytes]:
    # Identity: a compressed body has other offsets and another length than the file.
    asked = headers | {"Accept-Encoding": "identity"}
    if position:
        asked["Range"] = f"bytes={position}-"
    with get_session().stream("GET", url, headers=asked, timeout=TIMEOUT, follow_redirects=True) as response:
        hf_raise_for_status(response)
        # A server that ignores ranges sends the whole file again; what is here already is passed over.
        skip = position - _start(response, position)
        for chunk in read_body(response, READ_TIMEOUT_S):
            passed = min(skip, len(chunk))
            skip -= passed
            yield chunk[passed:] if passed else chunk


def _start(response: httpx2.Response, position: int) -> int:
    """Where in the file the body begins: at `position` or before it."""
    if response.status_code != 206:
        return 0
    span = response.headers.get("Content-Range", "")
    start = span.removeprefix("bytes ").partition("-")[0]
    if not start.isdigit() or int(start) > position:
        raise httpx2.RemoteProtocolError(f"Content-Range {span!r} answers a request for the bytes from {position}")
    return int(start)


def _may_pass(error: Exception) -> bool:
    return not isinstance(error, HfHubHTTPError) or error.response.status_code in PASSING_STATUS


def _reason(error: Exception) -> str:
    if isinstance(error, HfHubHTTPError):
        return f"HTTP {error.response.status_code}"
    return str(error) or type(error).__name__
