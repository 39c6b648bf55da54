"""From a client's request to a batch that waits to be checked."""

from sqlalchemy import Connection

from freehold.core.errors import NotFoundError
from freehold.serve.batches.requests import WINDOW_S, NewBatchRequest
from freehold.serve.config import BatchesConfig
from freehold.serve.files.purposes import BATCH
from freehold.serve.gateway.errors import NotAllowed, RequestError
from freehold.serve.state.batches import BatchRecord, NewBatch, create_batch
from freehold.serve.state.database import Database
from freehold.serve.state.files import StorageQuota, get_file, require_room
from freehold.serve.tuning.spaces import Space


def create(
    database: Database, config: BatchesConfig, quota: StorageQuota, space: Space, wanted: NewBatchRequest
) -> BatchRecord:
    """The batch. Raises RequestError that names the parameter, StorageFull, TooManyBatches, NotAllowed (no key)."""
    if space.principal.known_as:
        raise NotAllowed(
            f"{space.principal.actor} cannot make a batch",
            why="its lines are requests of a key, with that key's scope and limits, and this is none",
            next_step="Sign in with a key, or send the batch with one.",
            code="key_needed",
        )
    lifetime = wanted.output_expires_after
    new = NewBatch(
        space=space.name,
        key_id=space.key_id,
        endpoint=wanted.endpoint,
        input_file=wanted.input_file_id,
        request={"metadata": wanted.metadata, "lifetime_s": lifetime.seconds if lifetime else None},
    )

    def make(connection: Connection) -> BatchRecord:
        _check_file(connection, space, wanted.input_file_id)
        # Results are written whatever they take: a team that has used up its room gets none to write.
        require_room(connection, space.name, 1, quota)
        return create_batch(connection, new, WINDOW_S, config.pending_batches)

    return database.call(make)


def _check_file(connection: Connection, space: Space, file_id: str) -> None:
    try:
        record = get_file(connection, file_id, space.visible)
    except NotFoundError as error:
        raise RequestError(
            error.what, why=error.why, next_step=error.next_step, code="file_not_found", param="input_file_id"
        ) from error
    if record.purpose != BATCH:
        raise RequestError(
            f"{file_id} is no input of a batch",
            why=f"its purpose is {record.purpose}",
            next_step=f"Upload it with the purpose `{BATCH}`.",
            code="wrong_purpose",
            param="input_file_id",
        )
