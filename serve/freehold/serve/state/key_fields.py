"""What somebody may say of a key when they create or change it, checked field by field."""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from freehold.core.errors import UserError
from freehold.serve.config.base import NAME
from freehold.serve.state.money import MICROS

Role = Literal["app", "viewer", "operator", "admin"]
Label = Literal["must-stay", "may-leave"]

MAX_GRACE_S = 30 * 86_400
"""A rotation that is still under way after a month is none."""

_MAX_COUNT = 10**15
_MAX_MONEY = 10**9
"""Its micros are exact as a float too, which is how JSON shows them."""
_MAX_DAYS = 36_500
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)


class InvalidKey(UserError):
    """Fields of a key are wrong; `problems` holds every one, each with its name."""

    code = "invalid_key"

    def __init__(self, what: str, problems: list[str]) -> None:
        super().__init__(what, why="; ".join(problems))
        self.problems = problems


def parse_duration(text: str) -> timedelta:
    """`90d`, `12h`, `30m`, `45s` or `2w`. Raises ValueError on anything else."""
    found = _DURATION.fullmatch(text)
    duration = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if duration is None or duration.days > _MAX_DAYS:
        raise ValueError("it is no duration like 90d, 12h or 30m")
    return duration


def parse_expiry(text: str, now: float) -> float:
    """Epoch seconds of a duration from now, or of an ISO date or time (UTC unless it says otherwise).

    Raises ValueError on what is neither, and on what lies in the past.
    """
    if _DURATION.fullmatch(text):
        expiry = now + parse_duration(text).total_seconds()
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError("it is neither a duration like 90d or 12h nor a date like 2030-12-31") from None
        expiry = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if expiry <= now:
        raise ValueError("it lies in the past")
    return expiry


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("it names nothing, so the key could be used for nothing; leave it out for no restriction")
    return tuple(dict.fromkeys(names))


_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128, pattern=_PRINTABLE)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=128, pattern=_PRINTABLE)]
Names = Annotated[tuple[Annotated[str, Field(pattern=NAME)], ...], Field(max_length=1000), AfterValidator(_distinct)]
Count = Annotated[int, Field(strict=True, gt=0, le=_MAX_COUNT)]
Money = Annotated[Decimal, Field(gt=0, le=_MAX_MONEY, decimal_places=6)]


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    models: Names | None = None
    """Models that it may name; none means all, unless `routes` is given."""
    routes: Names | None = None
    """Routes that it may name; none means all, unless `models` is given."""
    requests_per_minute: Count | None = None
    """Requests that may begin within a minute."""
    tokens_per_minute: Count | None = None
    """Prompt and generated tokens within a minute."""
    concurrent_requests: Count | None = None
    """Requests that may run at once."""
    monthly_tokens: Count | None = None
    """Prompt and generated tokens within a calendar month, UTC."""
    monthly_money: Money | None = None
    """What a calendar month may cost, in the gateway's currency."""
    expires: str | None = None
    """Duration from now (`90d`, `12h`), or ISO date or time, UTC: it is refused from that moment on."""

    @field_validator("expires")
    @classmethod
    def _future(cls, value: str | None) -> str | None:
        if value is not None:
            parse_expiry(value, time.time())
        return value

    def columns(self, now: float) -> dict[str, Any]:
        """What was given, as the table's columns; `now` by the database's clock."""
        given = self.model_dump(include=self.model_fields_set)
        if "expires" in given:
            expires = given.pop("expires")
            given["expires_at"] = None if expires is None else parse_expiry(expires, now)
        if given.get("monthly_money") is not None:
            given["monthly_money"] = int(given["monthly_money"] * MICROS)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


class NewKey(_Fields):
    """A key to be made."""

    name: Name
    """What people call it; need not be unique."""
    role: Role = "app"
    """`viewer` may read under `/admin/v1` and in the console, `operator` also run models, `admin` everything."""
    team: Text = ""
    """Whose use it counts as."""
    owner: Text = ""
    """Whom to ask about it."""
    label: Label = "must-stay"
    """`may-leave` lets its requests reach what others run; no key does so unless that is said."""
    may_tune: Annotated[bool, Field(strict=True)] = False
    """Whether it may upload files and start fine-tuning jobs; an admin key always may."""


class KeyChanges(_Fields):
    """What to change of a key; a field that is not given stays, null takes a limit, scope or expiry away."""

    owner: Text = ""
    """Whom to ask about it."""
    label: Label = "must-stay"
    """`may-leave` lets its requests reach what others run."""
    may_tune: Annotated[bool, Field(strict=True)] = False
    """Whether it may upload files and start fine-tuning jobs."""


Kind = TypeVar("Kind", bound=BaseModel)


def parse_fields(kind: type[Kind], given: Mapping[str, Any], what: str) -> Kind:
    """A NewKey or KeyChanges. Raises InvalidKey, headed by `what`, with every problem at once."""
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        raise InvalidKey(what, [problem_of(item) for item in error.errors()]) from error


def problem_of(item: Mapping[str, Any]) -> str:
    """One of pydantic's errors as `field: what is wrong`, without the value that was given."""
    place = ".".join(str(part) for part in item["loc"]) or "(all of it)"
    message = "unknown field" if item["type"] == "extra_forbidden" else item["msg"].removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}"
