"""One worker's life, as its parent sees it."""

import asyncio
import json
import os
import signal
import sys
from collections import deque
from contextlib import suppress

from freehold.serve.engines.orphans import leash_environment
from freehold.serve.workers.states import EngineStates

MODULE = "freehold.serve.worker"


class WorkerProcess:
    """A running worker. It ends soon after this process, however that ends: its standard input closes then."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._reason = ""
        self.listening = asyncio.Event()
        """Set once it answers requests."""
        self.knows = -1
        """The newest version of the engines' states that it has said to act on."""
        self._told: deque[int] = deque()

    @classmethod
    async def start(cls, order: bytes) -> "WorkerProcess":
        """A worker with this order, in a session of its own: Ctrl-C is for the parent, which lets workers drain."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            MODULE,
            # The worker takes the closing of this pipe for our end: nothing else may hold it open.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **leash_environment()},
            start_new_session=True,
            close_fds=True,
        )
        assert process.stdin is not None, "asked for as a pipe"
        process.stdin.write(order)
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def run(self, states: EngineStates) -> str:
        """Tell it of the engines until it ends; returns why it did."""
        feeding = asyncio.create_task(self._feed(states))
        hearing = asyncio.create_task(self._hear())
        try:
            status = await self._process.wait()
            await hearing
        finally:
            for task in (feeding, hearing):
                task.cancel()
            await asyncio.gather(feeding, hearing, return_exceptions=True)
        if self._reason:
            return self._reason
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"it exited with status {status}"

    async def _feed(self, states: EngineStates) -> None:
        assert self._process.stdin is not None, "asked for as a pipe"
        with suppress(ConnectionError):  # it has ended
            async for version, line in states.lines():
                self._told.append(version)
                self._process.stdin.write(line)
                await self._process.stdin.drain()

    async def _hear(self) -> None:
        """`{"listening": true}` once it answers, `{"shown": true}` for each line, `{"failed": "…"}` if it gives up."""
        assert self._process.stdout is not None, "asked for as a pipe"
        async for line in self._process.stdout:
            report = json.loads(line)
            self._reason = report.get("failed", self._reason)
            if report.get("listening"):
                self.listening.set()
            if report.get("shown"):
                self.knows = self._told.popleft()

    def drain(self) -> None:
        """Ask it to finish what it does, and end."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
