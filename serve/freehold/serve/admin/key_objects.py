"""API keys as JSON: what the administrators' API and `--format json` show."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from freehold.serve.state.key_fields import MAX_GRACE_S
from freehold.serve.state.keys import KeyRecord, Status
from freehold.serve.state.money import MICROS


class ShownKey(BaseModel):
    """A key without its secret. Times are epoch seconds."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["api_key"] = "api_key"
    id: str
    name: str
    role: str
    status: Status
    hint: str
    """The secret's first characters."""
    team: str
    owner: str
    label: str
    may_tune: bool
    models: list[str] | None
    routes: list[str] | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_requests: int | None
    monthly_tokens: int | None
    monthly_money: float | None
    """In the gateway's currency."""
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    previous_until: int | None
    """Until then the secret from before the last rotation works."""


class CreatedKey(ShownKey):
    """A key with its secret, which is shown this once."""

    key: str


class KeyList(BaseModel):
    """One page of keys, oldest first; the next one follows `last_id`."""

    object: Literal["list"] = "list"
    data: list[ShownKey]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Rotation(BaseModel):
    """How to rotate a key."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    grace_s: float = Field(default=0, ge=0, le=MAX_GRACE_S)
    """For how long the old secret still works, seconds."""


def shown(record: KeyRecord, now: float) -> ShownKey:
    """The key as it stands at this time."""
    fields = {name: getattr(record, name) for name in ShownKey.model_fields if hasattr(record, name)}
    times = {name: _seconds(fields[name]) for name in ("created_at", "expires_at", "revoked_at", "previous_until")}
    money = None if record.monthly_money is None else record.monthly_money / MICROS
    return ShownKey(**{**fields, **times, "monthly_money": money, "status": record.status(now)})


def with_secret(record: KeyRecord, secret: str, now: float) -> CreatedKey:
    """The same with the secret."""
    return CreatedKey(**shown(record, now).model_dump(), key=secret)


def _seconds(time: float | None) -> int | None:
    return None if time is None else int(time)
