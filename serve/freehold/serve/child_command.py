"""Runs a command of Freehold to its end and takes its words: verbs do not import each other, they run each other."""

import asyncio
import subprocess
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress

from freehold.core import errors
from freehold.core.errors import EnvironmentProblem, FreeholdError

LONGEST_COMPLAINT = 4000
Command = tuple[str, ...]


async def output_of(
    command: Command, env: Mapping[str, str], limit_s: float, *, accept: Container[int] = (0,)
) -> bytes:
    """What it prints. Raises the error that it ended with, and EnvironmentProblem if it takes longer than that.

    A status of `accept` is no error if something was printed.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(env)
    )
    try:
        output, complaint = await asyncio.wait_for(process.communicate(), limit_s)
    except BaseException as error:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise EnvironmentProblem("The command took too long", why=f"it was ended after {limit_s:.0f} s") from None
        raise
    if process.returncode not in accept or (process.returncode and not output.strip()):
        raise error_of(process.returncode, complaint.decode(errors="replace"))
    return output


def error_of(status: int | None, complaint: str) -> FreeholdError:
    """The error that a command told on stderr and by its exit status."""
    _, _, said = complaint.rpartition("freehold: ")
    text = (said or complaint).strip()[-LONGEST_COMPLAINT:] or f"It ended with status {status}"
    assert status is not None, "it has ended"
    if status < 0:
        why = f"signal {-status}"
        return EnvironmentProblem("The command was killed", why=why, next_step="See whether memory ran out.")
    kind = next((each for each in _tree(FreeholdError) if each.exit_code == status), FreeholdError)
    error = FreeholdError(text)
    error.exit_code, error.http_status, error.code = status, kind.http_status, kind.code
    return error


def _tree(root: type[FreeholdError]) -> Iterator[type[FreeholdError]]:
    """Of core's errors, those that say their exit code themselves, base classes first."""
    if root.__module__ == errors.__name__ and "exit_code" in vars(root):
        yield root
    for each in root.__subclasses__():
        yield from _tree(each)
