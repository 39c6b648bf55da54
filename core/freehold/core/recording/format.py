"""One recorded exchange, a line of JSON, and its identifier, which sorts by time."""

import json
import os
from datetime import UTC, date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from freehold.core.errors import UserError

SCHEMA = 1
_END_OF_CALENDAR_MS = 253_402_300_800_000
"""The year 10000; an id has room for more."""

Kind = Literal["answer", "shadow"]


class RecordedExchange(BaseModel):
    """A request and what answered it. A later version may add fields; this one reads past them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA
    id: str
    """UUID version 7: sorts by time, and its day is the file's."""
    time: datetime
    """When the request arrived."""
    route: str
    """The name that the client asked for."""
    model: str
    """The model that answered: one of the route's targets, or its shadow."""
    endpoint: str
    """Path of the API, for example `/v1/chat/completions`."""
    key_id: str = ""
    """Identifier of the caller's key, never the key; empty where none is asked for."""
    team: str = ""
    kind: Kind = "answer"
    """`answer` went to the client; `shadow` is a candidate's, and went nowhere."""
    status: int
    """HTTP status; 499 if the client left first, 0 if nothing was answered."""
    latency_s: float
    """From the request's arrival to the answer's end."""
    ttft_s: float | None = None
    """From the request's arrival to the answer's first bytes; None if there were none."""
    request: dict[str, Any]
    """The body that the client sent; one that is no JSON object is `{"omitted": {"sha256": …, "bytes": …}}`."""
    response: dict[str, Any]
    """The answer's body. A stream is put together to what the same request would have got without `stream`."""
    redacted: bool = False
    """Personal data was looked for, and what was found was replaced by `<EMAIL_ADDRESS>` and the like."""
    truncated: bool = False
    """The answer has no proper end: the client left, the engine was lost, or the recorder kept a part of it only."""
    media_omitted: int = 0
    """How many images, sounds or files of over 1 KB stand as `freehold-media:TYPE:BYTES:sha256:HEX` alone."""
    fingerprint: str = ""
    """Of the engine that answered: artifact, options and version."""
    shadow_of: str | None = None
    """Id of the answer that the client got, for a shadow's."""

    @property
    def day(self) -> date:
        """The day (UTC) whose file holds it."""
        return day_of_id(self.id)

    def document(self) -> dict[str, Any]:
        """The exchange as JSON has it."""
        # pydantic refuses what a client may send: a depth of over 255, and keys with a lone surrogate.
        bodies = {"request": self.request, "response": self.response}
        dumped = self.model_dump(mode="json", exclude=set(bodies)) | bodies
        return {name: dumped[name] for name in type(self).model_fields}

    def to_line(self) -> bytes:
        """One line of JSON, with its newline."""
        document = self.document()
        # A lone surrogate, which JSON can escape, has no UTF-8: it becomes a question mark.
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "RecordedExchange | None":
        """The exchange, or None for a line that is torn or no exchange."""
        try:
            return cls.model_validate(json.loads(line))
        except (ValueError, RecursionError):  # pydantic's ValidationError and JSON's errors are ValueErrors
            return None


def new_id(unix_s: float) -> str:
    """A fresh UUID version 7 (RFC 9562) for an exchange that began at this time."""
    value = int(unix_s * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(UUID(int=value))


def time_of_id(identifier: str) -> datetime:
    """When the exchange of this id began, to the millisecond. Raises UserError if it is no id of a recording."""
    try:
        uuid = UUID(identifier)
    except ValueError:
        uuid = UUID(int=0)
    time_ms = uuid.int >> 80
    if uuid.version != 7 or str(uuid) != identifier or time_ms >= _END_OF_CALENDAR_MS:
        raise UserError(
            f"'{identifier}' is not the id of a recording",
            why="an id looks like 01890a5d-ac96-774b-bcce-b302099a8057",
            next_step="`freehold recordings export` shows the ids.",
        )
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def day_of_id(identifier: str) -> date:
    """The day (UTC) whose file holds the exchange. Raises UserError if it is no id of a recording."""
    return time_of_id(identifier).date()
