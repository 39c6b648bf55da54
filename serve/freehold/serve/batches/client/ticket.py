"""What `--resume` goes on from: `OUTPUT.batch.json`, beside the output, while that is not there."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from freehold.core.errors import IntegrityError, RefusedError
from freehold.core.store.atomic import write_atomically

METADATA = "freehold_ticket"
"""Of a batch: which ticket it was made for, should its id never have reached us."""


@dataclass(frozen=True)
class Ticket:
    """One batch that was, or is about to be, made."""

    id: str
    url: str
    input_sha256: str
    """Of what was sent, model and endpoint among it."""
    batch_id: str = ""
    """Empty until the gateway has told."""

    def write(self, output: Path) -> None:
        write_atomically(place(output), json.dumps(asdict(self), indent=2).encode() + b"\n", 0o600)

    def of_batch(self, batch_id: str) -> "Ticket":
        return replace(self, batch_id=batch_id)


def place(output: Path) -> Path:
    """Where the ticket of this output lies."""
    return output.with_name(f"{output.name}.batch.json")


def new_ticket(url: str, input_sha256: str) -> Ticket:
    return Ticket(secrets.token_hex(12), url, input_sha256)


def read_ticket(output: Path, url: str, input_sha256: str, *, resume: bool) -> Ticket | None:
    """The ticket of an earlier start; None if there is none.

    Raises RefusedError where there is one and nobody asked for it, or it is one of another input or gateway.
    """
    path = place(output)
    if not path.exists():
        return None
    try:
        ticket = Ticket(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"{path} is no ticket of a batch", why=str(error), next_step="Delete it.") from error
    told = ticket.batch_id or "a batch"
    if not resume:
        raise RefusedError(
            f"{told} for {output} was started before",
            why=f"{path} says so",
            next_step="Go on with `--resume`, or delete that file to start anew.",
        )
    if (ticket.url, ticket.input_sha256) != (url, input_sha256):
        raise RefusedError(
            f"{told} for {output} is not this one",
            why="it has another input, model, endpoint or gateway",
            next_step=f"Take another --output, or delete {path}.",
        )
    return ticket


def digest_of(path: Path, *more: str | None) -> str:
    """SHA-256 of a file and of what else makes the batch."""
    digest = hashlib.sha256(json.dumps(more).encode())
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
