"""What becomes of a line after a try: it is answered, or it waits and is asked again."""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from freehold.serve.batches.asking import Asking

MAX_LOST = 3
"""Tries of a line whose engine fails each time."""
FIRST_PAUSE_S = 1.0
UNKNOWN_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0
_LOST = (500, 502, 504)


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after that time."""

    seconds: float
    is_for_all: bool
    """Other lines of the batch would be told the same."""
    counts: bool
    """The engine had its chance."""


def judge(asked: Asking, lost_before: int) -> Wait | None:
    """None if this is the answer; `lost_before` tries were lost already.

    Minutes' limits and models that are not ready are waited for, however long the batch has. A month's budget, a
    request that is larger than a limit, and whatever is wrong with the request itself are answers.
    """
    if asked.is_late or not asked.is_whole or asked.status in _LOST:
        if lost_before + 1 < MAX_LOST:
            return Wait(FIRST_PAUSE_S * 2**lost_before, is_for_all=False, counts=True)
        return None
    if asked.status == 429 and not _is_for_good(asked):
        return Wait(_retry_after_s(asked), is_for_all=True, counts=False)
    if asked.status == 503:
        return Wait(_retry_after_s(asked), is_for_all=False, counts=False)
    return None


def _is_for_good(asked: Asking) -> bool:
    if asked.headers.get("x-should-retry") == "false":
        return True
    # An upstream's empty account names no time.
    return "retry-after" not in asked.headers and _code(asked.answer) == "insufficient_quota"


def _code(body: bytes) -> Any:
    with suppress(ValueError, AttributeError):
        return json.loads(body).get("error", {}).get("code")
    return None


def _retry_after_s(asked: Asking) -> float:
    with suppress(KeyError, ValueError):
        return min(max(float(asked.headers["retry-after"]), 0.1), LONGEST_PAUSE_S)
    return UNKNOWN_PAUSE_S


def answer_line(request_id: str, custom_id: str, asked: Asking) -> bytes:
    """The line of the output or error file. https://platform.openai.com/docs/api-reference/batch/request-output"""
    if asked.is_late:
        return error_line(request_id, custom_id, "line_timeout", "There was no whole answer in time, however often.")
    if not asked.is_whole:
        return error_line(request_id, custom_id, "engine_lost", "The engine was lost in the middle of its answer.")
    response = {
        "status_code": asked.status,
        "request_id": asked.headers.get("x-request-id", request_id),
        "body": _body(asked.answer),
    }
    return msgspec.json.encode({"id": request_id, "custom_id": custom_id, "response": response, "error": None})


def error_line(request_id: str, custom_id: str, code: str, message: str) -> bytes:
    """The same for a line that has no answer."""
    error = {"code": code, "message": message}
    return msgspec.json.encode({"id": request_id, "custom_id": custom_id, "response": None, "error": error})


def _body(answer: bytes) -> msgspec.Raw | str:
    """The JSON as it came; text where it is none."""
    try:
        answer.decode()
        msgspec.json.decode(answer)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
        return answer.decode(errors="replace")
    # Outside its strings JSON may have line breaks, inside it cannot.
    return msgspec.Raw(answer.translate(None, b"\r\n"))
