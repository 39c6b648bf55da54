"""The recorder: a bounded queue in front, a thread behind it, and nothing written that should have been redacted."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from fixtures.recordings import recorded

from freehold.core.errors import EnvironmentProblem
from freehold.core.recording import RecordedExchange, RecordingStore
from freehold.serve.config.routes import Record
from freehold.serve.recording import RawExchange, Recorder
from freehold.serve.recording.redaction import SAMPLE

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()
SECRET = "jane@example.com"
QUESTION = {"model": "support", "messages": [{"role": "user", "content": f"Write to {SECRET}"}]}
ANSWER = {"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Done"}}]}


def _raw(**fields: Any) -> RawExchange:
    usual: dict[str, Any] = {
        "route": "support",
        "model": "tiny",
        "endpoint": "/v1/chat/completions",
        "started_unix_s": NOON,
        "status": 200,
        "latency_s": 1.25,
        "request": json.dumps(QUESTION).encode(),
        "response": [json.dumps(ANSWER).encode()],
    }
    return RawExchange(**(usual | fields))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@contextmanager
def _running(root: Path, **options: Any) -> Iterator[Recorder]:
    recorder = Recorder(root, options.pop("policies", {"support": Record()}), clock=lambda: NOON, **options)
    recorder.start()
    try:
        yield recorder
    finally:
        assert recorder.stop()


def _records(root: Path) -> list[RecordedExchange]:
    return list(RecordingStore(root).export("test"))


def _written(root: Path) -> str:
    return "".join(path.read_text() for path in root.rglob("*.jsonl") if path.name != "access.jsonl")


def test_an_exchange_is_written_with_all_that_the_relay_knows(root: Path) -> None:
    raw = _raw(ttft_s=0.5, key_id="key_1", team="search", kind="shadow", shadow_of="other", fingerprint="fh-1")
    with _running(root) as recorder:
        assert recorder.offer(raw)
        assert recorder.flush()
    (record,) = _records(root)
    assert record.model_dump(exclude={"schema_version"}) == {
        "id": raw.id,
        "time": datetime(2026, 3, 10, 12, tzinfo=UTC),
        "route": "support",
        "model": "tiny",
        "endpoint": "/v1/chat/completions",
        "key_id": "key_1",
        "team": "search",
        "kind": "shadow",
        "status": 200,
        "latency_s": 1.25,
        "ttft_s": 0.5,
        "request": QUESTION,
        "response": ANSWER,
        "redacted": False,
        "truncated": False,
        "media_omitted": 0,
        "fingerprint": "fh-1",
        "shadow_of": "other",
    }
    assert recorder.counts.written == 1
    assert recorder.queued_bytes == 0


def test_a_stream_is_put_together(root: Path) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "Paris"}, "finish_reason": "stop"}]}
    pieces = [f"data: {json.dumps(chunk)}\n\n".encode(), b"data: [DONE]\n\n"]
    with _running(root) as recorder:
        recorder.offer(_raw(response=pieces, content_type=b"text/event-stream; charset=utf-8"))
        recorder.offer(_raw(response=pieces[:0], content_type=b"text/event-stream", truncated=True, status=499))
    whole, torn = _records(root)
    assert whole.response["choices"][0]["message"]["content"] == "Paris"
    assert (whole.truncated, torn.truncated) == (False, True)


def test_a_full_queue_refuses_and_counts(root: Path) -> None:
    size = _raw().size_bytes
    recorder = Recorder(root, {"support": Record()}, clock=lambda: NOON, queue_bytes=2 * size)
    assert [recorder.offer(_raw()) for _ in range(3)] == [True, True, False]
    assert (recorder.counts.dropped_full, recorder.queued_bytes) == (1, 2 * size)
    recorder.start()
    assert recorder.flush()
    assert recorder.offer(_raw())
    assert recorder.stop()
    assert len(_records(root)) == recorder.counts.written == 3


def test_many_small_chunks_count_for_the_memory_they_hold() -> None:
    assert _raw(response=[b"x"] * 1000).size_bytes > _raw(response=[b"x" * 1000]).size_bytes + 30_000


def test_a_stop_writes_what_is_queued_and_takes_no_more(root: Path) -> None:
    recorder = Recorder(root, {"support": Record()}, clock=lambda: NOON)
    for _ in range(300):  # more than a batch
        recorder.offer(_raw())
    recorder.start()
    assert recorder.stop()
    assert not recorder.offer(_raw())
    assert len(_records(root)) == 300


def test_a_share_of_the_requests_is_wanted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(root, {"support": Record(), "some": Record(percent=25)})
    assert recorder.wants("support")
    assert not recorder.wants("other")
    for drawn, wanted in ((0.2499, True), (0.25, False)):
        monkeypatch.setattr("random.random", lambda drawn=drawn: drawn)
        assert recorder.wants("some") is wanted


def test_a_disk_that_refuses_costs_the_records_and_not_the_thread(root: Path) -> None:
    with _running(root) as recorder:
        (root / "support" / "2026-03-10.jsonl").mkdir(parents=True)
        recorder.offer(_raw())
        assert recorder.flush()
        (root / "support" / "2026-03-10.jsonl").rmdir()
        recorder.offer(_raw())
        assert recorder.flush()
    assert (recorder.counts.dropped_disk, recorder.counts.written) == (1, 1)


# Redaction


def _redact(text: str) -> tuple[str, dict[str, str]]:
    """An honest redactor of e-mail addresses and of the sample."""
    found = dict.fromkeys(re.findall(r"[\w.]+@[\w.]*\w", text), "EMAIL_ADDRESS")
    found |= {value: name for name, value in SAMPLE.items() if value in text}
    for value, name in found.items():
        text = text.replace(value, f"<{name}>")
    return text, found


REDACTING = {"support": Record(redact=True)}


def test_what_is_written_is_redacted_and_says_so(root: Path) -> None:
    with _running(root, policies=REDACTING, redactor=lambda: _redact) as recorder:
        recorder.offer(_raw(response=[json.dumps({"text": f"To {SECRET}."}).encode()]))
    (record,) = _records(root)
    assert record.redacted
    assert record.request["messages"][0]["content"] == "Write to <EMAIL_ADDRESS>"
    assert record.response == {"text": "To <EMAIL_ADDRESS>."}
    assert SECRET not in _written(root)


def test_a_streamed_answer_is_redacted_after_it_was_put_together(root: Path) -> None:
    pieces = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("jane@exa", "mple.com")]
    response = [f"data: {json.dumps(piece)}\n\n".encode() for piece in pieces]
    with _running(root, policies=REDACTING, redactor=lambda: _redact) as recorder:
        recorder.offer(_raw(response=response, content_type=b"text/event-stream"))
    assert _records(root)[0].response["choices"][0]["message"]["content"] == "<EMAIL_ADDRESS>"


def _no_op(text: str) -> tuple[str, dict[str, str]]:
    return text, {}


def _broken(text: str) -> tuple[str, dict[str, str]]:
    if SECRET in text:
        raise ValueError(f"cannot search {text}")
    return _redact(text)


def _finds_and_leaves(text: str) -> tuple[str, dict[str, str]]:
    return (text, {SECRET: "EMAIL_ADDRESS"}) if SECRET in text else _redact(text)


def _absent() -> Any:
    raise EnvironmentProblem("nothing can redact")


PLANTED: list[Callable[[], Any]] = [
    lambda: _no_op,
    lambda: _broken,
    _absent,
]


@pytest.mark.parametrize("redactor", PLANTED)
def test_a_record_that_cannot_be_redacted_is_never_written(
    root: Path, redactor: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    with _running(root, policies=REDACTING, redactor=redactor) as recorder:
        recorder.offer(_raw())
        recorder.offer(_raw())
        assert recorder.flush()
        assert recorder.counts.dropped_unredacted == 2
    assert SECRET not in _written(root)
    assert _records(root) == []
    assert "not redacted and so not recorded" in caplog.text
    assert SECRET not in caplog.text


def test_the_gate_catches_a_path_that_goes_round_the_redactor(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recorder, "_redacted", lambda self, record: record)
    with _running(root, policies=REDACTING, redactor=lambda: _redact) as recorder:
        recorder.offer(_raw())
    assert (recorder.counts.dropped_unredacted, _written(root)) == (1, "")


def test_a_value_that_was_found_and_left_is_replaced_all_the_same(root: Path) -> None:
    with _running(root, policies=REDACTING, redactor=lambda: _finds_and_leaves) as recorder:
        recorder.offer(_raw())
    assert recorder.counts.written == 1
    assert SECRET not in _written(root)


def test_a_found_value_in_a_structural_field_drops_the_record(root: Path) -> None:
    def redact(text: str) -> tuple[str, dict[str, str]]:
        return (text.replace("jane-doe-7", "<NAME>"), {"jane-doe-7": "NAME"}) if "jane" in text else _redact(text)

    request = {"model": "support", "user": "jane-doe-7", "previous_response_id": "resp-jane-doe-7"}
    with _running(root, policies=REDACTING, redactor=lambda: redact) as recorder:
        recorder.offer(_raw(request=json.dumps(request).encode()))
    assert (recorder.counts.dropped_unredacted, _written(root)) == (1, "")


def test_a_route_without_a_policy_is_redacted(root: Path) -> None:
    with _running(root, redactor=lambda: _redact) as recorder:
        recorder.offer(_raw(route="unknown"))
    assert _records(root)[0].redacted


def test_the_redactor_is_built_once_and_in_the_thread(root: Path) -> None:
    built: list[str] = []

    def build() -> Any:
        built.append(threading.current_thread().name)
        raise EnvironmentProblem("nothing can redact")

    with _running(root, policies=REDACTING | {"open": Record()}, redactor=build) as recorder:
        recorder.offer(_raw(route="open"))
        assert recorder.flush()
        assert built == []
        recorder.offer(_raw())
        recorder.offer(_raw())
    assert built == ["freehold-recorder"]


# Retention


def test_what_is_past_its_retention_goes_at_the_start_and_once_a_day(root: Path) -> None:
    now = [NOON]
    store = RecordingStore(root)
    store.append([recorded(datetime(2026, 3, day, tzinfo=UTC)) for day in (1, 7, 8, 9)])
    recorder = Recorder(root, {"support": Record(retention_days=2)}, clock=lambda: now[0])
    recorder.start()
    recorder.offer(_raw())
    assert recorder.flush()
    assert [file.day.day for file in store.files("test")] == [8, 9, 10]
    now[0] += 86_400
    recorder.offer(_raw())
    assert recorder.flush()
    recorder.offer(_raw())  # the day is looked at before the next batch
    assert recorder.stop()
    assert [file.day for file in store.files("test")] == [date(2026, 3, 9), date(2026, 3, 10)]
