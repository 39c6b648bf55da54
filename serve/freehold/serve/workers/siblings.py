"""One worker among its siblings: what it tells them, and what it asks them.

Numbers never go back, or Prometheus would take it for a restart and count everything once more. So a worker writes
down what it tells before it tells it: a sibling that is dead or busy counts with what it told last, and a worker that
takes the place of a dead one goes on from there. What a killed worker had counted after the last scrape is lost.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import aiohttp
import msgspec
from prometheus_client.core import GaugeMetricFamily

from freehold.serve.gateway.errors import WorkerSilent
from freehold.serve.gateway.owners import Owner
from freehold.serve.workers.folder import ControlFolder
from freehold.serve.workers.merging import merge

log = logging.getLogger("freehold.gateway")

ANSWER_TIMEOUT_S = 1.0


class Siblings:
    """The other workers, by their sockets; none is waited for longer than a second."""

    def __init__(self, folder: ControlFolder, number: int, count: int) -> None:
        self.number = number
        self._folder = folder
        self._others = [other for other in range(1, count + 1) if other != number]
        self._before = _read(folder.told(number))

    def tell(self, render: Callable[[], bytes]) -> bytes:
        """This worker's numbers now, with those of the lives before it."""
        text = render()
        if self._before:
            text = merge([text.decode()], [self._before]).render()
        _write(self._folder.told(self.number), text)
        return text

    async def exposition(self, render: Callable[[], bytes]) -> bytes:
        """The numbers of all workers together."""
        own = self.tell(render).decode()
        answers = await asyncio.gather(*(self._ask(other, "/metrics") for other in self._others))
        silent = [other for other, answer in zip(self._others, answers, strict=True) if answer is None]
        living = [own, *(answer.decode() for answer in answers if answer is not None)]
        # Parsing takes a millisecond per worker, in which no request should wait.
        return await asyncio.to_thread(self._merged, living, silent)

    def _merged(self, living: list[str], silent: list[int]) -> bytes:
        families = merge(living, [_read(self._folder.told(other)) for other in silent])
        families.add_metric(
            GaugeMetricFamily("freehold_workers_silent", "Workers that told nothing of themselves.", len(silent))
        )
        return families.render()

    async def owner(self, response_id: str) -> Owner | None:
        """What a sibling knows of a stored response. Raises WorkerSilent if one that may know it does not answer."""
        answers = await asyncio.gather(*(self._ask(other, "/owner", id=response_id) for other in self._others))
        if found := next(filter(None, answers), None):
            return msgspec.json.decode(found, type=Owner)
        if None in answers:
            raise WorkerSilent(
                f"Who holds response '{response_id}' is not known now",
                why="a worker of the gateway that may know it does not answer",
                next_step="Send the request again in a moment.",
                retry_after_s=1,
            )
        return None

    async def _ask(self, number: int, path: str, **query: str) -> bytes | None:
        """What a sibling answers, empty where it has nothing to tell; None if it does not answer in time."""
        connector = aiohttp.UnixConnector(path=self._folder.address(number))
        timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get(f"http://worker{path}", params=query) as response,
            ):
                if response.status == 404:
                    return b""
                response.raise_for_status()
                return await response.read()
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            log.warning("Worker %d does not answer its siblings: %s", number, str(error) or type(error).__name__)
            return None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _write(path: Path, text: bytes) -> None:
    """Whole or not at all, but not durable: no number outlives the parent."""
    beside = path.with_suffix(".new")
    try:
        beside.write_bytes(text)
        beside.replace(path)
    except OSError as error:
        log.warning("The numbers of this worker cannot be written down: %s", error)
