"""From a file of requests to a file of answers: upload, create, follow, download; and on from wherever it broke off."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.core.errors import AccessDeniedError, FreeholdError, NotFoundError, RefusedError, UserError
from freehold.core.progress import PLAIN_INTERVAL_S, hint, human_bytes
from freehold.serve.batches.client.gateway import RemoteBatches, Unreachable
from freehold.serve.batches.client.input import as_sent, endpoint_of
from freehold.serve.batches.client.ticket import METADATA, Ticket, digest_of, new_ticket, place, read_ticket

if TYPE_CHECKING:
    from openai.types import Batch

POLL_S = 2.0
PATIENCE_S = 600.0
"""How long a gateway may be away while its batch is followed."""
OVER = ("completed", "failed", "expired", "cancelled")


class BatchFailed(FreeholdError):
    """The batch is over, and not every line was answered."""

    code = "batch_failed"


@dataclass(frozen=True)
class Journey:
    """One call of `freehold batch`."""

    source: Path
    output: Path
    model: str | None = None
    endpoint: str | None = None
    resume: bool = False
    poll_s: float = POLL_S
    patience_s: float = PATIENCE_S

    @property
    def errors(self) -> Path:
        """Where lines go that were not answered."""
        return self.output.with_name(f"{self.output.stem}.errors{self.output.suffix}")

    def run(self, remote: RemoteBatches) -> "Batch":
        """The batch, its answers written. Raises BatchFailed, with what there is of answers written all the same."""
        endpoint = self.endpoint or endpoint_of(self.source)
        if self.output.exists():
            raise RefusedError(f"{self.output} is there already", next_step="Take another --output, or move it away.")
        self.output.parent.mkdir(parents=True, exist_ok=True)
        batch = self._started(remote, endpoint)
        try:
            batch = follow(remote, batch, self.poll_s, self.patience_s)
        except KeyboardInterrupt:
            hint(f"{batch.id} goes on. `--resume` follows it again, `freehold batch cancel {batch.id}` ends it.")
            raise
        self._fetch(remote, batch)
        place(self.output).unlink(missing_ok=True)
        _require_whole(batch, self.errors)
        return batch

    def _started(self, remote: RemoteBatches, endpoint: str) -> "Batch":
        digest = digest_of(self.source, self.model, endpoint)
        ticket = read_ticket(self.output, remote.url, digest, resume=self.resume)
        if ticket is not None and (known := self._known(remote, ticket)):
            hint(f"Going on with {known.id}")
            return known
        # The ticket is there before the batch: whatever breaks off, `--resume` finds it and makes no second one.
        ticket = ticket or new_ticket(remote.url, digest)
        ticket.write(self.output)
        try:
            with as_sent(self.source, self.model) as path:
                hint(f"Uploading {self.source} ({human_bytes(path.stat().st_size)}) …")
                file_id = remote.upload(path)
            batch = remote.create(file_id, endpoint, {METADATA: ticket.id})
        except (UserError, AccessDeniedError):  # nothing was made, and will not be
            place(self.output).unlink(missing_ok=True)
            raise
        ticket.of_batch(batch.id).write(self.output)
        hint(f"{batch.id}: {batch.status}")
        return batch

    def _known(self, remote: RemoteBatches, ticket: Ticket) -> "Batch | None":
        if ticket.batch_id:
            try:
                return remote.get(ticket.batch_id)
            except NotFoundError as error:
                next_step = f"Delete {place(self.output)} to start anew."
                raise NotFoundError(error.what, why="the gateway knows it no more", next_step=next_step) from error
        made = (batch for batch in remote.all(1000) if (batch.metadata or {}).get(METADATA) == ticket.id)
        batch = next(made, None)
        if batch is not None:
            ticket.of_batch(batch.id).write(self.output)
        return batch

    def _fetch(self, remote: RemoteBatches, batch: "Batch") -> None:
        if batch.error_file_id:
            remote.download(batch.error_file_id, self.errors)
        if batch.output_file_id:
            remote.download(batch.output_file_id, self.output)


def follow(
    remote: RemoteBatches,
    batch: "Batch",
    poll_s: float,
    patience_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> "Batch":
    """The batch, once it is over; progress goes to stderr. Raises Unreachable when the gateway stays away."""
    told, told_at = "", -PLAIN_INTERVAL_S
    seen_at = clock()
    while batch.status not in OVER:
        time.sleep(poll_s)
        try:
            batch = remote.get(batch.id)
            seen_at = clock()
        except Unreachable as error:
            if clock() - seen_at > patience_s:
                raise Unreachable(error.what, why=error.why, next_step="Go on with `--resume` later.") from error
            continue
        state = _state(batch)
        is_other = state.partition(",")[0] != told.partition(",")[0]
        if is_other or (state != told and clock() - told_at >= PLAIN_INTERVAL_S):
            hint(f"{batch.id}: {state}")
            told, told_at = state, clock()
    return batch


def _state(batch: "Batch") -> str:
    counts = batch.request_counts
    if counts is None or not counts.total:
        return str(batch.status)
    failed = f", {counts.failed} failed" if counts.failed else ""
    return f"{batch.status}, {counts.completed + counts.failed} of {counts.total} lines{failed}"


def _require_whole(batch: "Batch", errors: Path) -> None:
    """Raises BatchFailed."""
    if batch.status == "failed":
        found = (batch.errors.data if batch.errors else None) or []
        told = [f"{f'line {error.line}: ' if error.line else ''}{error.message}" for error in found[:20]]
        more = [f"… and {len(found) - 20} more"] if len(found) > 20 else []
        why = "\n" + "\n".join(f"  - {line}" for line in [*told, *more])
        raise BatchFailed(f"{batch.id} was not started", why=why, next_step="Correct the lines, and start again.")
    counts = batch.request_counts
    total, completed = (counts.total, counts.completed) if counts else (0, 0)
    if batch.status != "completed" or completed < total:
        raise BatchFailed(
            f"{batch.id} is {batch.status}",
            why=f"{total - completed} of {total} lines were not answered",
            next_step=f"{errors} says why." if batch.error_file_id else "",
        )
