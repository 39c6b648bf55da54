"""Commands of ours as children, which end with the demo however it ends."""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

from freehold.core.errors import EngineError
from freehold.core.leash import leashed
from freehold.core.settings import Settings

PATIENCE_S = 60.0
"""What a command that is stopped gets to stop its engine and remove its temporary files."""


async def freehold(settings: Settings, *arguments: str, without: str) -> Any:
    """The JSON that a command prints, while its progress goes to the terminal.

    Raises EngineError if it fails; it has told why. `without` is the option that leaves its stage out.
    """
    command = (sys.executable, "-m", "freehold.core.cli", *arguments, "--format", "json")
    child = await asyncio.create_subprocess_exec(
        *leashed(*command, ending=signal.SIGINT),
        stdout=asyncio.subprocess.PIPE,
        # torch would leave its cache in the system's temporary folder.
        env={
            **os.environ,
            "FREEHOLD_HOME": str(settings.home),
            "TORCHINDUCTOR_CACHE_DIR": str(settings.home / "torchinductor"),
        },
    )
    try:
        printed, _ = await child.communicate()
    except asyncio.CancelledError:
        await _stop(child)
        raise
    if child.returncode:
        raise EngineError(
            f"The demo's `freehold {arguments[0]}` ended with {child.returncode}",
            why="its message is above",
            next_step=f"`freehold demo {without}` leaves this stage out.",
        )
    return json.loads(printed)


async def _stop(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGINT)
    try:
        await asyncio.wait_for(child.wait(), PATIENCE_S)
    except TimeoutError:
        child.kill()
        await child.wait()
