"""A private `freehold serve` as a child process.

It gets a data folder of its own, which only shares the store and the engine environments with the real one: its
database and ledger are nobody else's, and nothing that runs on this machine notices it. Engines' logs are kept in
`run/logs/rehearsals` of the real one.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freehold.core.errors import EngineError
from freehold.core.leash import leashed
from freehold.core.settings import POLICY_VARIABLE, Settings

TAIL_LINES = 30
STOP_LIMIT_S = 60.0
"""An engine gets 20 s to end by itself; what is left after this is killed."""

_GATEWAY = re.compile(r"Gateway on (http://\S+)")
_READY = re.compile(r"^Ready after ")


@dataclass(frozen=True)
class Rehearsal:
    """What is served inside the block."""

    url: str
    """Base URL of the gateway, without `/v1`; it asks for no key."""
    pid: int
    """Process id of `freehold serve`, which is also the id of its process group."""


@contextmanager
def rehearse(
    deployment: Mapping[str, Any], settings: Settings, *, start_limit_s: float = 1800.0
) -> Iterator[Rehearsal]:
    """Serve a deployment (the contents of a `freehold.yaml`) on a free loopback port while the block runs.

    Its `gateway` is replaced. Returns when its engines are ready; single adapters may have failed.
    Raises EngineError with what `freehold serve` said when it does not come up. Call it in the main thread: the child
    ends with the thread that started it.
    """
    with tempfile.TemporaryDirectory(prefix="freehold-rehearsal-") as folder:
        home = Path(folder)
        _furnish(home, settings)
        config = home / "freehold.yaml"
        # JSON is YAML.
        gateway = {"host": "127.0.0.1", "port": 0, "drainTimeoutS": 0}
        config.write_text(json.dumps({**deployment, "gateway": gateway}, default=str))
        child = _Child.start(config, home, settings)
        try:
            yield Rehearsal(child.until_ready(start_limit_s), child.process.pid)
        finally:
            child.stop()


def _furnish(home: Path, settings: Settings) -> None:
    """What an engine needs of the real data folder, by link."""
    places = {
        "store": settings.store_root,
        "engines": settings.engines_root,
        # The logs stay, for what a diagnosis does not say.
        "run/logs": settings.run_root / "logs" / "rehearsals",
    }
    (home / "run").mkdir()
    for name, place in places.items():
        place.mkdir(parents=True, exist_ok=True)
        (home / name).symlink_to(place)


class _Child:
    """`freehold serve` in a process group of its own, with a thread that reads what it says."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._url = ""
        self._is_ready = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="rehearsal", daemon=True)
        self._reader.start()

    @classmethod
    def start(cls, config: Path, home: Path, settings: Settings) -> "_Child":
        # The machine's policy holds here too; it is looked for in a data folder that is not this one.
        own = settings.policy_file or (settings.own_policy if settings.own_policy.exists() else None)
        policy = {POLICY_VARIABLE: str(own)} if own else {}
        return cls(
            subprocess.Popen(
                leashed(sys.executable, "-m", "freehold.core.cli", "serve", str(config), "--offline", "--rehearsal"),
                env={**os.environ, "FREEHOLD_HOME": str(home), **policy},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )

    def until_ready(self, limit_s: float) -> str:
        """The gateway's URL, once the engines are ready."""
        deadline = time.monotonic() + limit_s
        with self._changed:
            while not self._is_ready:
                if not self._reader.is_alive():
                    raise self._failure("it ended before it was ready")
                if time.monotonic() > deadline:
                    raise self._failure(f"it was not ready within {limit_s:.0f} s")
                self._changed.wait(timeout=0.5)
            return self._url

    def stop(self) -> None:
        """Ask it to end, then make it; nothing of its group is left."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Engines have guards of their own, which end them when `freehold serve` goes.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None, "asked for as a pipe"
        with self.process.stdout as lines:
            for line in lines:
                with self._changed:
                    self._tail.append(line.rstrip())
                    if found := _GATEWAY.search(line):
                        self._url = found[1]
                    self._is_ready = self._is_ready or bool(_READY.match(line))
                    self._changed.notify_all()

    def _failure(self, what: str) -> EngineError:
        return EngineError(
            "The rehearsal did not come up",
            why=f"{what}; `freehold serve` said:\n" + "\n".join(f"  {line}" for line in self._tail),
            next_step="Correct the cause that it names, or see whether the model is served at all: `freehold serve`.",
        )
