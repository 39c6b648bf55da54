"""The audit log: one JSON line for every administrative act, who did it, to what, and how it ended.

An act that cannot be logged is not done: `AuditLog.act` looks whether it can write before it lets the act begin. The
file is opened by its path for each record, so logrotate needs no signal and no `copytruncate`.
"""

import fcntl
import getpass
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from freehold.core.errors import FreeholdError, UserError
from freehold.core.store.atomic import fsync_folder
from freehold.serve.secrecy import scrub, without_secrets

Outcome = Literal["done", "refused", "failed"]
"""`refused`: the caller was wrong or not allowed, nothing happened; `failed`: how far it came is not known."""

LOCAL = "local"
"""The origin of an act from this machine's command line."""

_ROOM_BYTES = 64 * 1024
"""Less free space than this counts as none: a record is under a kilobyte, and several acts may run at once."""

_NO_DETAILS: Mapping[str, Any] = {}


class AuditUnavailable(FreeholdError):
    """The audit log cannot be written, so no administrative act is allowed."""

    exit_code = 7
    http_status = 503
    code = "audit_unavailable"


def command_line_actor() -> str:
    """`cli:<user>`: who runs this process, as the operating system knows them."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user id without a name
        return f"cli:{os.getuid()}"


class AuditLog:
    """Appends records to one file, from as many threads, processes and replicas on this machine as there are.

    A record is durable when the call returns, which costs an `fsync`: call it from a thread, not from an event loop.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(
        self,
        act: str,
        *,
        actor: str,
        target: str,
        outcome: Outcome = "done",
        origin: str = "",
        details: Mapping[str, Any] = _NO_DETAILS,
    ) -> None:
        """Write what has happened. Raises AuditUnavailable.

        `act` is `<things>.<verb>`, for example `keys.create`; `actor` the id of an admin key, `cli:<user>`, or `env`
        for the admin key from the environment; `origin` the client's address, or `local`. Secrets in `details` are
        replaced.
        """
        line = _line(act, actor, target, outcome, origin, details)
        try:
            descriptor = self._open()
            try:
                if _append(descriptor, line):
                    fsync_folder(self.path.parent)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._unavailable(error) from error

    @contextmanager
    def act(
        self, act: str, *, actor: str, target: str, origin: str = "", details: Mapping[str, Any] = _NO_DETAILS
    ) -> Iterator[dict[str, Any]]:
        """Run an act and record how it ended: `with audit.act("keys.revoke", …) as details:`.

        What the block adds to `details` goes into the record. A UserError is `refused`, any other exception `failed`.
        Raises AuditUnavailable before the block if nothing can be written, and after it if that has become so.
        """
        self.check()
        said = dict(details)
        try:
            yield said
        except BaseException as error:
            outcome: Outcome = "refused" if isinstance(error, UserError) else "failed"
            said["error"] = error.code if isinstance(error, FreeholdError) else type(error).__name__
            self.record(act, actor=actor, target=target, outcome=outcome, origin=origin, details=said)
            raise
        self.record(act, actor=actor, target=target, origin=origin, details=said)

    def check(self) -> None:
        """Raise AuditUnavailable if a record could not be written now."""
        try:
            descriptor = self._open()
            try:
                room = os.fstatvfs(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._unavailable(error) from error
        if room.f_blocks and room.f_bavail * room.f_frsize < _ROOM_BYTES:
            raise self._unavailable(OSError("its disk is full"))

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _unavailable(self, error: OSError) -> AuditUnavailable:
        return AuditUnavailable(
            f"The audit log {self.path} cannot be written",
            why=error.strerror or str(error),
            next_step="Free its disk or restore its permissions; until then nothing can be administered.",
        )


def _line(act: str, actor: str, target: str, outcome: Outcome, origin: str, details: Mapping[str, Any]) -> bytes:
    record = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "act": act,
        "actor": scrub(actor),
        "target": scrub(target),
        "outcome": outcome,
        "origin": origin,
        "details": without_secrets(details),
    }
    return json.dumps(record).encode() + b"\n"


def _append(descriptor: int, line: bytes) -> bool:
    """One write, whole and durable; whether it is the file's first.

    What a full disk tore off before must not swallow this record; what another process is writing just now looks the
    same, and so only one writes at a time.
    """
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        written = os.write(descriptor, line)
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    if written != len(line):
        raise OSError(f"only {written} of {len(line)} bytes were written")
    os.fsync(descriptor)
    return size == 0
