"""The result file of a job: its metrics as CSV, among the team's files."""

from collections.abc import Iterable

from sqlalchemy import Connection

from freehold.serve.files.storage import RESULTS, FileStorage
from freehold.serve.state.files import StorageQuota, complete_file, reserve_file
from freehold.serve.state.tuning import JobRecord
from freehold.serve.tuning.progress import result_csv
from freehold.serve.tuning.run_folder import Measured

_UNLIMITED = StorageQuota(2**62, 2**62)
"""Results count for the quota, and are written beyond it too: hours of work must not end on a few kilobytes."""


def store_results(connection: Connection, storage: FileStorage, job: JobRecord, lines: Iterable[Measured]) -> str:
    """Id of the new file."""
    content = result_csv(lines)
    file_id = reserve_file(connection, job.space, job.key_id, len(content), _UNLIMITED)
    incoming = storage.receive(file_id)
    incoming.write(content)
    sha256 = incoming.close()
    storage.keep(incoming, file_id, RESULTS)
    complete_file(
        connection,
        file_id,
        filename="step_metrics.csv",
        purpose=RESULTS,
        size_bytes=len(content),
        sha256=sha256,
        kind="",
    )
    return file_id
