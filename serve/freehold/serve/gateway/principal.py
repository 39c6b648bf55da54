"""Who sends a request, and what that allows."""

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["app", "viewer", "operator", "admin"]
"""What a key is for: `app` sends requests, a `viewer` also reads what administrators see, an `operator` also runs
models, adapters and jobs, an `admin` may do everything."""
ROLES: tuple[Role, ...] = ("app", "viewer", "operator", "admin")
"""Each may do what those before it may."""


def role_named(name: str) -> Role:
    """The role of this name; one that only a newer version knows is an application's here."""
    return next((role for role in ROLES if role == name), "app")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key may use; None is no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    monthly_tokens: int | None = None
    monthly_money: int | None = None
    """Millionths of the gateway's currency."""


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Principal:
    """A key as the hot path needs it. One object per key, replaced when the key changes."""

    key_id: str
    """Empty for whoever comes to a gateway that asks for no keys."""
    team: str = ""
    owner: str = ""
    is_admin: bool = False
    may_leave: bool = False
    """Whether its requests may reach what others run: `may-leave` rather than `must-stay`."""
    may_tune: bool = False
    """Whether it may upload files and start fine-tuning jobs."""
    models: frozenset[str] | None = None
    routes: frozenset[str] | None = None
    limits: Limits = NO_LIMITS
    expires_at: float | None = None
    """Epoch seconds."""
    role: Role = "app"
    known_as: str = ""
    """What the audit log calls whoever signed in without a key."""
    is_limited: bool = field(init=False)
    """Whether any limit is set."""

    def __post_init__(self) -> None:
        if self.is_admin:
            object.__setattr__(self, "role", "admin")
        object.__setattr__(self, "is_limited", self.limits != NO_LIMITS)

    @property
    def actor(self) -> str:
        """Who acts, in the audit log."""
        return self.known_as or self.key_id

    def is_at_least(self, role: Role) -> bool:
        """Whether it may do what that role may."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def may_use_model(self, name: str) -> bool:
        """Whether the key may name this model."""
        return name in self.models if self.models is not None else self.routes is None

    def may_use_route(self, name: str) -> bool:
        """Whether the key may name this route; what the route leads to is the route's matter."""
        return name in self.routes if self.routes is not None else self.models is None


ANONYMOUS = Principal("", may_leave=True, may_tune=True)
"""Everybody, where `gateway.auth` is `none`."""
