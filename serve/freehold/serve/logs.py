"""Log lines of the gateway, as text or JSON on stderr, that hold no prompt and no key.

Prompts stay out because nothing logs them (`tests/serve/gateway/test_secrecy.py` looks); keys are also taken out of
whatever a library or an exception may say, by the `Scrubber` in front of the output.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from freehold.core.progress import redirect_hints
from freehold.serve.secrecy import scrub

LogForm = Literal["text", "json"]

FIELDS = (
    "request_id",
    "key_id",
    "model",
    "route",
    "path",
    "status",
    "duration_ms",
    "prompt_tokens",
    "completion_tokens",
)
"""What a record may carry beside its message (`extra=`); anything else is not written."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")

_access = logging.getLogger("freehold.access")
_hints = logging.getLogger("freehold.serve")


def configure_logging(
    form: LogForm, level: str = "INFO", *, access_log: bool = False, stream: TextIO | None = None
) -> None:
    """Log to stderr in this form; a second call replaces the first.

    `level` is that of Freehold's own loggers. Libraries speak from WARNING on: at DEBUG some of them print SQL
    parameters and request bodies. With `json`, hints for the person at the terminal become records too: while it
    serves, every line on stderr is JSON.
    """
    handler = _LineHandler(sys.stderr if stream is None else stream)
    handler.addFilter(Scrubber())
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    for previous in [item for item in root.handlers if isinstance(item, _LineHandler)]:
        root.removeHandler(previous)
    root.addHandler(handler)
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    logging.getLogger("freehold").setLevel(level)
    _access.setLevel(logging.INFO if access_log else logging.WARNING)
    redirect_hints(_hints.info if form == "json" else None)


def logs_exchanges() -> bool:
    """Whether `gateway.accessLog` is on."""
    return _access.isEnabledFor(logging.INFO)


def log_exchange(
    *,
    path: str,
    status: int,
    duration_ms: float,
    model: str = "",
    route: str = "",
    key_id: str = "",
    request_id: str = "",
    prompt_tokens: int | None = None,
    completion_tokens: int | None = None,
) -> None:
    """One line for one request that is over; nothing unless `gateway.accessLog` is on.

    `model` is what answered and `route` what the client asked for, if that was a route: names from the config only,
    never a name that a client made up.
    """
    if not logs_exchanges():
        return
    extra = {
        "request_id": request_id or None,
        "key_id": key_id or None,
        "model": model or None,
        "route": route or None,
        "path": path,
        "status": status,
        "duration_ms": round(duration_ms, 2),
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
    }
    _access.info("request", extra=extra)


class Scrubber(logging.Filter):
    """Takes what looks like a secret out of a record: its message, its fields and its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = scrub(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:  # formatters take this text instead of making it again
            record.exc_text = scrub(record.exc_text)
        if record.stack_info:
            record.stack_info = scrub(record.stack_info)
        for name in FIELDS:
            value = getattr(record, name, None)
            if isinstance(value, str):
                setattr(record, name, scrub(value))
        return True


class JsonLines(logging.Formatter):
    """A JSON object per line: time, level, logger, message, the known fields, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if trace := _trace(self, record):
            document["exception"] = trace
        return json.dumps(document, default=str)


class TextLines(logging.Formatter):
    """`time LEVEL logger: message field=value …`; no message can pretend to be two lines."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        message = _CONTROL.sub(_escape, record.getMessage() + fields)
        line = f"{_time(record)} {record.levelname} {record.name}: {message}"
        trace = _trace(self, record)
        return f"{line}\n{trace}" if trace else line


class _LineHandler(logging.StreamHandler[TextIO]):
    """Marks the handler that `configure_logging` put there."""


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    present = ((name, getattr(record, name, None)) for name in FIELDS)
    return {name: value for name, value in present if value is not None}


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if record.exc_info and not record.exc_text:
        record.exc_text = formatter.formatException(record.exc_info)
    return "\n".join(part for part in (record.exc_text, record.stack_info) if part)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
