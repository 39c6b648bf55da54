"""Log lines as text and as JSON, and what is taken out of them."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from freehold.core.progress import hint, redirect_hints
from freehold.serve.config import GatewayConfig
from freehold.serve.logs import configure_logging, log_exchange
from freehold.serve.secrecy import scrub

log = logging.getLogger("freehold.gateway")
LOGGERS = (logging.getLogger(), logging.getLogger("freehold"), logging.getLogger("freehold.access"))


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is the process's: leave it as it was."""
    before = [(logger, logger.level, list(logger.handlers)) for logger in LOGGERS]
    yield
    redirect_hints(None)
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


Lines = Callable[[], list[Any]]


@pytest.fixture
def json_lines() -> Lines:
    """JSON logging with the access log on; call it for the lines so far."""
    stream = io.StringIO()
    configure_logging("json", access_log=True, stream=stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def _text(**options: Any) -> io.StringIO:
    stream = io.StringIO()
    configure_logging("text", stream=stream, **options)
    return stream


def test_a_json_line_has_time_level_logger_message_and_known_fields(json_lines: Lines) -> None:
    log.warning("Engine %s was lost", "tiny", extra={"model": "tiny", "status": 502, "prompt": "never"})
    [line] = json_lines()
    assert len(line.pop("time")) == len("2026-11-01T09:30:00.123Z")
    assert line == {
        "level": "warning",
        "logger": "freehold.gateway",
        "message": "Engine tiny was lost",
        "model": "tiny",
        "status": 502,
    }


def test_a_text_line_has_the_same() -> None:
    stream = _text()
    log.warning("Engine %s was lost", "tiny", extra={"model": "tiny", "status": 502, "prompt": "never"})
    time, rest = stream.getvalue().split(" ", 1)
    assert time.endswith("Z")
    assert rest == "WARNING freehold.gateway: Engine tiny was lost model=tiny status=502\n"


def test_no_message_pretends_to_be_two_lines() -> None:
    stream = _text()
    log.warning("before\r\n2026-11-01T09:30:00.123Z ERROR freehold: forged\u2028\x1b[2J", extra={"model": "a\nb"})
    [line] = stream.getvalue().splitlines()
    assert r"before\r\n2026" in line
    assert r"forged\u2028\x1b[2J model=a\nb" in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_keeps_its_traceback_and_loses_its_secrets(form: Any) -> None:
    stream = io.StringIO()
    configure_logging(form, stream=stream)
    try:
        raise RuntimeError("refused Bearer correct-horse-battery")
    except RuntimeError:
        log.exception("It failed with %s", "sk-correct-horse-battery", extra={"key_id": "fh-correct-horse-battery"})
    printed = stream.getvalue()
    assert "correct-horse" not in printed
    assert "Traceback" in printed and "in test_an_exception_keeps" in printed
    assert printed.count("[redacted]") == 4, "in message and field, in the traceback's source line and the error"


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("fh-Zx81-_kQ0aaaaaaaaaaaaaaaaaaaaa", "[redacted]"),
        ("key fh-0123456789abcdef0 and", "key [redacted] and"),
        ("sk-proj-abc_DEF-123456", "[redacted]"),
        ("hf_abcdefghijklmnopqrstuvwxyz", "[redacted]"),
        ("authorization: Bearer abc.def", "authorization: [redacted]"),
        ("sent bearer abc.def to it", "sent bearer [redacted] to it"),
        ("(b'x-api-key', b'plain'), (b'host', b'x')", "(b'x-api-key', b'[redacted]'), (b'host', b'x')"),
        ("{'Cookie': 'a=b; c=d'}", "{'Cookie': '[redacted]'}"),
        ("GET http://x/v1/models?api_key=abc&q=1 now", "GET http://x/v1/models?[redacted] now"),
        ("GET /v1/models?api_key=abc HTTP/1.1", "GET /v1/models?[redacted] HTTP/1.1"),
        ("postgresql://freehold:hunter2@db:5432/x", "postgresql://[redacted]@db:5432/x"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, scrubbed: str) -> None:
    assert scrub(text) == scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "fingerprint fh-0123456789abcdef of tiny",
        "a disk-backed task-oriented fh-1 sk-1",
        "Is this right? Send an authorization header, then try again.",
        "Gateway on http://127.0.0.1:8000/v1 (a model answers 503 until it is ready)",
        "Engine tiny: Connect call failed ('127.0.0.1', 8000)",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert scrub(text) == text


def test_an_exchange_is_one_line(json_lines: Lines) -> None:
    log_exchange(
        path="/v1/chat/completions",
        status=200,
        duration_ms=12.3456,
        model="tiny",
        key_id="key_1",
        request_id="r1",
        prompt_tokens=3,
        completion_tokens=0,
    )
    [line] = json_lines()
    del line["time"]
    assert line == {
        "level": "info",
        "logger": "freehold.access",
        "message": "request",
        "request_id": "r1",
        "key_id": "key_1",
        "model": "tiny",
        "path": "/v1/chat/completions",
        "status": 200,
        "duration_ms": 12.35,
        "prompt_tokens": 3,
        "completion_tokens": 0,
    }


def test_exchanges_are_not_logged_unless_asked_for() -> None:
    assert GatewayConfig().access_log is False
    stream = _text()
    log_exchange(path="/v1/chat/completions", status=200, duration_ms=1)
    assert stream.getvalue() == ""


def test_a_library_is_heard_from_warning_on() -> None:
    stream = _text(level="DEBUG")
    for logger in (log, logging.getLogger("sqlalchemy.engine")):
        logger.debug("said softly")
        logger.warning("said loudly")
    heard = [(line.split()[2], line.split()[-1]) for line in stream.getvalue().splitlines()]
    assert heard == [
        ("freehold.gateway:", "softly"),
        ("freehold.gateway:", "loudly"),
        ("sqlalchemy.engine:", "loudly"),
    ]


def test_configuring_again_replaces_the_first(json_lines: Lines) -> None:
    stream = _text()
    log.warning("once")
    assert stream.getvalue().count("once") == 1
    assert json_lines() == []


def test_hints_are_records_in_json_and_plain_in_text(json_lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    hint("Gateway on http://127.0.0.1:8000")
    assert [(line["logger"], line["message"]) for line in json_lines()] == [
        ("freehold.serve", "Gateway on http://127.0.0.1:8000")
    ]
    assert capsys.readouterr().err == ""
    stream = _text()
    hint("Stopped.")
    assert (stream.getvalue(), capsys.readouterr().err) == ("", "Stopped.\n")
