"""Takes exchanges from the event loop in microseconds; a thread puts them together, redacts and writes them."""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from freehold.core.errors import EnvironmentProblem
from freehold.core.recording import RecordedExchange, RecordingStore
from freehold.serve.config.routes import Record
from freehold.serve.recording.assembling import record_of
from freehold.serve.recording.content import RedactionFailed, RedactText, redact_document
from freehold.serve.recording.raw import RawExchange
from freehold.serve.recording.redaction import build_redactor, prove

log = logging.getLogger("freehold.recording")

QUEUE_BYTES = 64 * 1024 * 1024
_BATCH_BYTES = 4 * 1024 * 1024
_BATCH_RECORDS = 256
"""What a crash can lose at most, and what one flush to disk pays for."""
_LONGEST_WAIT_S = 3600.0
"""A new day is noticed within this time of an idle gateway."""


@dataclass(slots=True)
class RecorderCounts:
    """What became of the exchanges that were offered."""

    written: int = 0
    dropped_full: int = 0
    """The queue had no room: the disk, or redaction, is slower than the traffic."""
    dropped_unredacted: int = 0
    """Redaction was asked for and failed; such a record is never written."""
    dropped_broken: int = 0
    """The exchange could not be put together."""
    dropped_disk: int = 0
    """The disk refused them: it is full, or not ours."""


class Recorder:
    """Writes the exchanges of the routes that have a policy. `start` and `stop` it around the gateway's life."""

    def __init__(
        self,
        root: Path,
        policies: Mapping[str, Record],
        *,
        clock: Callable[[], float] = time.time,
        queue_bytes: int = QUEUE_BYTES,
        redactor: Callable[[], RedactText] = build_redactor,
    ) -> None:
        """`policies`: `record` of each route that has one, by the route's name. `redactor` builds it, in the thread."""
        self.store = RecordingStore(root)
        self.counts = RecorderCounts()
        self._policies = dict(policies)
        self._clock = clock
        self._limit = queue_bytes
        self._build_redactor = redactor
        self._redactor: RedactText | EnvironmentProblem | None = None
        self._queue: deque[RawExchange] = deque()
        self._queued_bytes = 0
        self._unwritten = 0
        self._changed = threading.Condition()
        self._is_stopping = False
        self._expired_on: date | None = None
        self._thread = threading.Thread(target=self._run, name="freehold-recorder", daemon=True)

    # From the event loop

    def wants(self, route: str) -> bool:
        """Whether this request is one of the share to record: ask once, before keeping its chunks."""
        policy = self._policies.get(route)
        return policy is not None and (policy.percent >= 100.0 or random.random() * 100.0 < policy.percent)

    def offer(self, exchange: RawExchange) -> bool:
        """Take an exchange to record, in microseconds; False, and counted, when the queue has no room."""
        size = exchange.size_bytes
        with self._changed:
            if self._queued_bytes + size > self._limit or self._is_stopping:
                self.counts.dropped_full += 1
                return False
            self._queue.append(exchange)
            self._queued_bytes += size
            self._unwritten += 1
            self._changed.notify_all()
        return True

    @property
    def queued_bytes(self) -> int:
        """Memory that exchanges not yet written hold."""
        return self._queued_bytes

    # The life of the thread

    def start(self) -> None:
        """Start the thread, which first deletes what is past its retention."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Take no more, write what is queued, end the thread; False if that took longer than the timeout."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.warning("%d exchanges were not recorded before the stop", self._unwritten)
        return not self._thread.is_alive()

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Wait until all that was offered is written or dropped; False if that took longer."""
        with self._changed:
            return self._changed.wait_for(lambda: self._unwritten == 0, timeout_s)

    # In the thread

    def _run(self) -> None:
        self._remember_retention()
        while True:
            self._expire()
            batch = self._next_batch()
            if batch:
                self._write(batch)
                self._release(batch)
            elif self._is_stopping:
                return

    def _next_batch(self) -> list[RawExchange]:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_stopping, _LONGEST_WAIT_S)
            batch: list[RawExchange] = []
            size = 0
            while self._queue and len(batch) < _BATCH_RECORDS and size < _BATCH_BYTES:
                batch.append(self._queue.popleft())
                size += batch[-1].size_bytes
            return batch

    def _release(self, batch: list[RawExchange]) -> None:
        size = sum(exchange.size_bytes for exchange in batch)
        with self._changed:
            self._queued_bytes -= size
            self._unwritten -= len(batch)
            self._changed.notify_all()

    def _write(self, batch: list[RawExchange]) -> None:
        records = [record for raw in batch if (record := self._record(raw)) is not None]
        try:
            self.store.append(records)
        except OSError as error:
            self.counts.dropped_disk += len(records)
            log.error("%d exchanges could not be recorded: %s", len(records), error)
        else:
            self.counts.written += len(records)

    def _record(self, raw: RawExchange) -> RecordedExchange | None:
        """The record as it may be written, or None, counted and logged."""
        try:
            record = record_of(raw)
        except Exception as error:  # noqa: BLE001 - whatever an odd body does, it costs this one record
            self.counts.dropped_broken += 1
            log.warning("An exchange of '%s' was not recorded: %s", raw.route, type(error).__name__)
            return None
        policy = self._policies.get(raw.route)
        try:
            if policy is None or policy.redact:
                record = self._redacted(record)
                _require_redacted(record)
        except Exception as error:  # noqa: BLE001 - presidio raises what it likes, and raw data must not be written
            self.counts.dropped_unredacted += 1
            # The message may quote what was to be redacted.
            reason = str(error) if isinstance(error, EnvironmentProblem | RedactionFailed) else type(error).__name__
            log.error("An exchange of '%s' was not redacted and so not recorded: %s", raw.route, reason)
            return None
        return record

    def _redacted(self, record: RecordedExchange) -> RecordedExchange:
        redact = self._ready_redactor()
        request, response = redact_document(record.request, redact), redact_document(record.response, redact)
        return record.model_copy(update={"request": request, "response": response, "redacted": True})

    def _ready_redactor(self) -> RedactText:
        if self._redactor is None:
            try:
                redactor = self._build_redactor()
                prove(redactor)
                self._redactor = redactor
            except EnvironmentProblem as error:
                self._redactor = error  # building takes seconds: not again for every record
        if isinstance(self._redactor, EnvironmentProblem):
            raise self._redactor
        return self._redactor

    def _remember_retention(self) -> None:
        for route, policy in self._policies.items():
            try:
                self.store.keep_for(route, policy.retention_days)
            except OSError as error:
                log.error("The retention of '%s' could not be written down: %s", route, error)

    def _expire(self) -> None:
        """Once a day, by the clock, delete what is past its retention."""
        today = datetime.fromtimestamp(self._clock(), UTC).date()
        if today == self._expired_on:
            return
        self._expired_on = today
        try:
            for file in self.store.expire_all(today):
                log.info("Deleted the recordings of '%s' of %s: past their retention", file.route, file.day)
        except (OSError, ValueError, KeyError) as error:
            log.error("Recordings past their retention could not be deleted: %s", error)


def _require_redacted(record: RecordedExchange) -> None:
    if not record.redacted:
        raise RedactionFailed("A record was about to be written without redaction")
