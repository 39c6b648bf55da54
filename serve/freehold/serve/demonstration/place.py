"""Where the demo keeps what it makes: a data folder of its own, so that it leaves yours alone."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freehold.core.environment.shared import cache_root
from freehold.core.errors import RefusedError
from freehold.core.progress import hint, human_bytes

MARK = "demo.mark"
"""A file in folders that the demo has made: only those does it remove."""


@contextmanager
def demo_home(given: Path | None, *, remove: bool) -> Iterator[Path]:
    """The folder; said before, and again at the end with its size. With `remove`, it is gone after the block.

    Raises RefusedError for a folder that would be removed and holds other things.
    """
    home = (given or cache_root() / "demo").expanduser().absolute()
    home.mkdir(parents=True, exist_ok=True)
    if not any(home.iterdir()):
        (home / MARK).touch()
    if remove and not (home / MARK).is_file():
        raise RefusedError(
            f"{home} will not be removed",
            why="the demo has not made it, and it is not empty",
            next_step="Name a new folder with --home, or leave --remove out.",
        )
    hint(f"The demo works in {home}; your own store is left alone.")
    try:
        yield home
    finally:
        if remove:
            shutil.rmtree(home, ignore_errors=True)
            hint(f"Removed {home}.")
        else:
            kept = human_bytes(sum(path.stat().st_size for path in home.rglob("*") if path.is_file()))
            hint(f"Kept for the next time: {kept} in {home}; `rm -r {home}` removes it.")
