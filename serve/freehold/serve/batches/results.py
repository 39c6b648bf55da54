"""The output and the error file of a batch, among the team's files, in the order of its lines."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy import Connection

from freehold.serve.batches.holding import HeldBatch
from freehold.serve.batches.judging import error_line
from freehold.serve.batches.lines import Line
from freehold.serve.files.purposes import BATCH_RESULTS
from freehold.serve.files.storage import FileStorage, Incoming
from freehold.serve.state.batches import BatchRecord
from freehold.serve.state.database import Database, DatabaseUnavailable
from freehold.serve.state.files import StorageQuota, complete_file, forget_file, reserve_file

_UNLIMITED = StorageQuota(2**62, 2**62)
"""Results count for the quota, and are written beyond it too: hours of work must not end on some kilobytes."""
UNANSWERED = {
    "expired": ("batch_expired", "The batch expired before this line was answered."),
    "cancelled": ("batch_cancelled", "The batch was cancelled before this line was answered."),
}


class Written(NamedTuple):
    """A result file on the disk; its row is set aside, and not yet whole."""

    file_id: str
    filename: str
    size_bytes: int
    sha256: str

    def complete(self, connection: Connection, lifetime_s: float) -> None:
        """Make it readable."""
        complete_file(
            connection,
            self.file_id,
            filename=self.filename,
            purpose=BATCH_RESULTS,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            kind="",
            lifetime_s=lifetime_s,
        )


class Results:
    """Writes the two files of one batch. Its methods block."""

    def __init__(self, database: Database, storage: FileStorage, held: HeldBatch) -> None:
        self._database = database
        self._storage = storage
        self._held = held

    def write(self, lines: Sequence[Line], ending: str) -> tuple[Written | None, Written | None]:
        """Output and errors; none where there would be nothing in it. `ending` says what the batch will be."""
        answers = self._held.answers
        good = [line for line in lines if line.number in answers and answers[line.number].is_success]
        bad = [line for line in lines if line.number not in answers or not answers[line.number].is_success]
        output = self._file("output", (self._answer(line) for line in good)) if good else None
        try:
            return output, self._file("error", (self._error(line, ending) for line in bad)) if bad else None
        except BaseException:
            self.drop(output)
            raise

    def drop(self, *written: Written | None) -> None:
        """Delete files that came to nothing; what the database does not hear of is swept later."""
        for file in written:
            if file is not None:
                self._forget(file.file_id)

    def _answer(self, line: Line) -> bytes:
        answer = self._held.answers[line.number]
        return bytes(self._held.journal.at(answer.start, answer.end).answer)

    def _error(self, line: Line, ending: str) -> bytes:
        if line.number in self._held.answers:
            return self._answer(line)
        return error_line(request_id(self._held.batch, line.number), line.custom_id, *UNANSWERED[ending])

    def _file(self, what: str, texts: Iterable[bytes]) -> Written:
        batch = self._held.batch
        file_id = self._database.call(
            lambda connection: reserve_file(connection, batch.space, batch.key_id, 0, _UNLIMITED)
        )
        incoming: Incoming | None = None
        try:
            incoming = self._storage.receive(file_id)
            for text in texts:
                incoming.write(text + b"\n")
            sha256 = incoming.close()
            self._storage.keep(incoming, file_id, BATCH_RESULTS)
        except BaseException:
            if incoming is not None:
                incoming.drop()
            self._forget(file_id)
            raise
        return Written(file_id, f"{batch.id}_{what}.jsonl", incoming.size_bytes, sha256)

    def _forget(self, file_id: str) -> None:
        self._storage.remove(file_id)
        with suppress(DatabaseUnavailable):
            self._database.call(lambda connection: forget_file(connection, file_id))


def request_id(batch: BatchRecord, line: int) -> str:
    """The id of a line in results, the same whenever it is asked."""
    return f"batch_req_{batch.id.partition('_')[2]}_{line}"
