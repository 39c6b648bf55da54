"""The journal of a download: one JSON line for each file that was received whole and verified."""

import json
import os
import threading
from pathlib import Path

from pydantic import ValidationError

from freehold.core.hub.snapshot import RemoteFile
from freehold.core.store import FileRecord


class Journal:
    """Append-only, one write per line, durable before `append` returns. Safe for several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._records = dict(_read(path))

    def find(self, file: RemoteFile) -> FileRecord | None:
        """What was verified under this name, if it was verified against the same promises."""
        with self._lock:
            entry = self._records.get(file.path)
        if entry is None:
            return None
        record, git_blob_sha1 = entry
        kept = (
            record.size_bytes == file.size_bytes
            and file.sha256 in (None, record.sha256)
            and file.git_blob_sha1 in (None, git_blob_sha1)
        )
        return record if kept else None

    def append(self, record: FileRecord, git_blob_sha1: str | None) -> None:
        line = json.dumps({"record": record.model_dump(), "git_blob_sha1": git_blob_sha1})
        with self._lock:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                # The leading newline closes a line that a power cut may have torn.
                os.write(descriptor, f"\n{line}\n".encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._records[record.path] = (record, git_blob_sha1)


def _read(path: Path) -> list[tuple[str, tuple[FileRecord, str | None]]]:
    if not path.exists():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
            record = FileRecord.model_validate(entry["record"])
        except (ValueError, KeyError, TypeError, ValidationError):
            # A torn line only means that its file, still a `.part`, is hashed once more.
            continue
        entries.append((record.path, (record, entry.get("git_blob_sha1"))))
    return entries
