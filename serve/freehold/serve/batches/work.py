"""One batch, worked on: its lines checked, asked and answered, its results written."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from sqlalchemy import Connection

from freehold.core.errors import FreeholdError, NotFoundError
from freehold.serve.batches.asking import Asking
from freehold.serve.batches.capacity import Capacity
from freehold.serve.batches.checking import Found, LineCheck, check_file, known_lines, problem
from freehold.serve.batches.holding import HeldBatch, Interrupted
from freehold.serve.batches.journal import Journal, Record
from freehold.serve.batches.judging import Wait, answer_line, judge
from freehold.serve.batches.lines import InputFile, Line
from freehold.serve.batches.results import Results, request_id
from freehold.serve.config import BatchesConfig
from freehold.serve.files.storage import FileStorage
from freehold.serve.gateway.delegation import Delegation
from freehold.serve.gateway.endpoints import ENDPOINTS, Dialect
from freehold.serve.gateway.errors import Unauthorized, error_answer
from freehold.serve.gateway.ledger import UsageEntry
from freehold.serve.gateway.principal import Principal
from freehold.serve.state.batches import BatchRecord
from freehold.serve.state.database import Database, DatabaseUnavailable
from freehold.serve.state.files import get_file

if TYPE_CHECKING:
    from freehold.serve.gateway.relay import Relay

log = logging.getLogger("freehold.batches")
Result = TypeVar("Result")
DAY_S = 86_400.0


@dataclass(frozen=True)
class Workshop:
    """What every batch is worked on with."""

    database: Database
    config: BatchesConfig
    home: Path
    """Folder of the journals."""
    storage: FileStorage
    most_body_bytes: int
    relay: "Relay"
    capacity: Capacity
    holder: Callable[[str], Awaitable[Principal]]
    """The key of an id. Raises Unauthorized, KeysUnavailable."""
    take_in_keys: Callable[[], Awaitable[None]]
    """What has changed about keys until now, as far as the database answers."""
    account: Callable[[UsageEntry], None]
    """For what was used and is no answer of a line."""
    runner: str
    """This process, as leases name it."""
    lease_s: float = 30.0
    heartbeat_s: float = 1.0


class BatchWork:
    """Works on one batch that `take_batch` gave to this process."""

    def __init__(self, shop: Workshop, batch: BatchRecord) -> None:
        self._shop = shop
        self._journal = Journal(journal_path(shop.home, batch.id))
        self._held = HeldBatch(shop.database, batch, self._journal, shop.runner, shop.lease_s)
        self._endpoint = ENDPOINTS[batch.endpoint]
        self._stopping = asyncio.Event()
        """No further line is asked."""
        self._trouble: Interrupted | OSError | None = None
        """Why an answer could not be written down."""
        self._asked: set[Asking] = set()
        self._time = 0.0
        """The database's, at the last beat."""
        self._resumes_at = 0.0
        """Monotonic time until which a limit of the key has no room for any line."""

    @property
    def batch_id(self) -> str:
        return self._held.batch.id

    async def run(self) -> None:
        """Return when there is nothing more to do for it here; a cancelled task leaves it to others.

        Raises DatabaseUnavailable and OSError: the lease then runs out, and the batch is taken up again.
        """
        try:
            await asyncio.to_thread(self._held.open)
            with suppress(Interrupted):
                await self._work()
            if not self._held.batch.is_over:
                await self._held.let_go()
        except asyncio.CancelledError:
            with suppress(DatabaseUnavailable, Interrupted):
                await self._held.settle()
                await self._held.let_go()
            raise
        finally:
            self._journal.close()
        if self._held.batch.is_over:
            await asyncio.to_thread(self._journal.path.unlink, missing_ok=True)

    def retire(self) -> None:
        """Start no further line; those that run go on."""
        self._stopping.set()

    async def _work(self) -> None:
        held = self._held
        if held.batch.status == "cancelling" and not held.batch.total:  # before anybody had looked at it
            await self._finish([])
            return
        try:
            file = await self._input()
        except NotFoundError as error:
            await self._fail([problem("input_file_missing", None, str(error))])
            return
        if held.batch.status == "validating":
            found = await self._watched(self._check(file))
            if found.errors:
                await self._fail(found.errors)
            else:
                await held.move("validating", "in_progress", total=len(found.lines))
        else:
            found = await self._watched(check_file(file, known_lines, self._shop.config.max_lines))
        await held.beat()
        if held.batch.status == "in_progress":
            await self._watched(self._answer_all(file, found.lines))
            if self._trouble is not None:
                raise self._trouble
            await held.settle()
        await self._finish(found.lines)

    async def _finish(self, lines: Sequence[Line]) -> None:
        """Write the results, if there is nothing more to come."""
        held = self._held
        is_answered = len(held.answers) == len(lines)
        if held.batch.status == "in_progress":
            if not is_answered and not self._is_expired:
                return  # this process stops
            await held.move("in_progress", "finalizing")
            await held.beat()
        if held.batch.status not in ("finalizing", "cancelling"):
            return
        before = held.batch.status
        ending: Any = "cancelled" if before == "cancelling" else "completed" if is_answered else "expired"
        await held.settle()
        results = Results(self._shop.database, self._shop.storage, held)
        # A batch that was cancelled before it was checked has nothing to tell of its lines.
        told = lines if held.batch.total else []
        output, errors = await self._watched(asyncio.to_thread(results.write, told, ending))
        lifetime_s = held.batch.request["lifetime_s"] or self._shop.config.retention_days * DAY_S

        def complete(connection: Connection) -> None:
            for file in (output, errors):
                if file is not None:
                    file.complete(connection, lifetime_s)

        files = {"output_file": output and output.file_id, "error_file": errors and errors.file_id}
        if not await held.move(before, ending, complete, **files):
            await asyncio.to_thread(results.drop, output, errors)

    async def _fail(self, errors: list[dict[str, Any]]) -> None:
        """End it before it begins; one that was cancelled meanwhile stays so."""
        await self._held.settle()
        document = {"object": "list", "data": errors}
        before = self._held.batch.status
        await self._held.move(before, "cancelled" if before == "cancelling" else "failed", errors=document)

    # -- while it lasts --------------------------------------------------------------------------------------------

    @property
    def _is_expired(self) -> bool:
        return self._time >= self._held.batch.expires_at

    async def _watched(self, work: Awaitable[Result]) -> Result:
        """Do this while the lease is kept. Lines stop when the batch is cancelled or expires, the work when it is lost.

        Raises Interrupted, and whatever the work does.
        """
        task = asyncio.ensure_future(work)
        is_away = False
        try:
            while not task.done():
                await asyncio.wait([task], timeout=self._shop.heartbeat_s)
                try:
                    self._time = await self._held.beat()
                    is_away = False
                except DatabaseUnavailable as error:
                    if not is_away:
                        log.warning("%s. %s goes on without it while its lease lasts", error, self._held.batch.id)
                    is_away = True
                if self._held.batch.status == "cancelling" or self._is_expired:
                    self._stop()
            return await task
        finally:
            if not task.done():
                self._stop()
                task.cancel()
                await asyncio.wait([task])

    def _stop(self) -> None:
        """Ask nothing more, and want no answer of what is asked."""
        self._stopping.set()
        for asked in list(self._asked):
            asked.leave()

    # -- its lines -------------------------------------------------------------------------------------------------

    async def _input(self) -> InputFile:
        """Raises NotFoundError where the data folder lacks it."""
        file_id = self._held.batch.input_file
        record = await self._shop.database.run(
            lambda connection: get_file(connection, file_id, None, in_any_state=True)
        )
        path = self._shop.storage.path(record)
        if not path.is_file():
            raise NotFoundError(
                f"The bytes of {file_id} are not here",
                why="replicas that work on batches have to share the data folder",
            )
        return InputFile(path, self._shop.most_body_bytes)

    async def _check(self, file: InputFile) -> Found:
        batch = self._held.batch
        await self._shop.take_in_keys()  # a line that is refused here is refused for good
        try:
            principal = await self._shop.holder(batch.key_id)
        except Unauthorized as error:
            return Found([], [problem(error.code, None, str(error))])
        check = LineCheck(batch.endpoint, self._shop.relay.table, principal)
        return await check_file(file, check, self._shop.config.max_lines)

    async def _answer_all(self, file: InputFile, lines: Sequence[Line]) -> None:
        """As many at once as a model may have; each model's lines wait for that model alone."""
        by_model: dict[str, list[Line]] = {}
        for line in lines:
            if line.number not in self._held.answers:
                by_model.setdefault(line.model, []).append(line)
        async with asyncio.TaskGroup() as tasks:
            for waiting in by_model.values():
                turns = iter(waiting)
                for _ in range(min(self._shop.config.concurrency, len(waiting))):
                    tasks.create_task(self._answer_some(file, turns))

    async def _answer_some(self, file: InputFile, turns: Iterator[Line]) -> None:
        for line in turns:
            if self._stopping.is_set():
                return
            await self._answer(file, line)

    async def _answer(self, file: InputFile, line: Line) -> None:
        """Ask until there is an answer that stays, and write it down."""
        body = await asyncio.to_thread(file.body, line)
        lost = 0
        while not self._stopping.is_set():
            await self._pause(self._resumes_at - monotonic())
            async with self._shop.capacity.place(line.model, self._stopping) as is_given:
                if not is_given:
                    return
                asked = await self._ask(body)
            if asked.is_gone and not asked.is_late:
                asked.delegation.release()
                return
            wait = judge(asked, lost)
            if wait is None:
                try:
                    self._record(line, asked)
                except (Interrupted, OSError) as error:
                    self._trouble = error
                    self._stop()
                return
            asked.delegation.release()
            lost += wait.counts
            await self._wait(wait)

    async def _ask(self, body: bytes) -> Asking:
        try:
            principal = await self._shop.holder(self._held.batch.key_id)
        except FreeholdError as error:
            asked = Asking(body, Delegation(Principal(""), self._shop.account))
            headers, answer = error_answer(error, Dialect.OPENAI)
            asked.start(error.http_status, headers)
            asked.push(answer, more=False)
            return asked
        asked = Asking(body, Delegation(principal, self._shop.account))
        self._asked.add(asked)
        timer = asyncio.get_running_loop().call_later(self._shop.config.line_timeout_s, asked.give_up)
        try:
            await asked.through(self._shop.relay, self._endpoint)
        except BaseException:
            asked.delegation.release()
            raise
        finally:
            timer.cancel()
            self._asked.discard(asked)
        return asked

    def _record(self, line: Line, asked: Asking) -> None:
        """From here on the line is answered, and paid for: both in one write."""
        answer = answer_line(request_id(self._held.batch, line.number), line.custom_id, asked)
        is_success = asked.is_whole and not asked.is_late and 200 <= asked.status < 300
        usage = asked.delegation.take()
        try:
            self._held.record(Record(line.number, is_success, msgspec.Raw(answer), usage))
        except BaseException:  # it will be asked again, and this try is paid for like any other
            for entry in usage:
                self._shop.account(entry)
            raise

    async def _wait(self, wait: Wait) -> None:
        if wait.is_for_all:
            self._resumes_at = max(self._resumes_at, monotonic() + wait.seconds)
        else:
            await self._pause(wait.seconds)

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()


def journal_path(home: Path, batch_id: str) -> Path:
    """Where a batch's answers lie until it is over."""
    return home / f"{batch_id}.jsonl"
