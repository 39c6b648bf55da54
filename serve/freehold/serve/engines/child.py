"""One child process under the guard, with its log file."""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from freehold.serve.engines.diagnosis import read_tail
from freehold.serve.engines.orphans import leash_environment

GUARD = "freehold.serve.engines.guard"
GRACE_S = 20.0


class Child:
    """A running command. Everything it starts ends with it, and it ends with this process."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, log_start: int) -> None:
        self._process = process
        self._log = log
        self._log_start = log_start

    @classmethod
    async def start(cls, command: tuple[str, ...], env: dict[str, str], log: Path) -> "Child":
        """Start `command` in a session of its own; its output is appended to `log`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        guarded = (sys.executable, "-m", GUARD, "--grace", str(GRACE_S), "--", *command)
        with log.open("ab") as output:
            started = datetime.now(UTC).isoformat(timespec="seconds")
            output.write(f"--- {started} {' '.join(command)}\n".encode())
            output.flush()
            process = await asyncio.create_subprocess_exec(
                *guarded,
                # The guard takes the closing of this pipe for our end: nothing else may hold it open.
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                close_fds=True,
            )
            assert process.stdin is not None, "asked for as a pipe"
            process.stdin.write(json.dumps({**env, **leash_environment()}).encode() + b"\n")
            await process.stdin.drain()
            return cls(process, log, output.tell())

    @property
    def pid(self) -> int:
        """The guard's process id, which is also the id of its process group."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    async def wait(self) -> int:
        """Exit status; whatever is left of the process group is ended too."""
        status = await self._process.wait()
        # A guard that was killed itself could not clear up.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return status

    async def stop(self) -> None:
        """Ask it to end, then make it; returns when nothing of it is left."""
        if not self.has_ended:
            with suppress(ProcessLookupError):
                self._process.terminate()
        await self.wait()

    def log_text(self) -> str:
        """What this run has written to its log, at most the last 256 KiB."""
        return read_tail(self._log, self._log_start)
