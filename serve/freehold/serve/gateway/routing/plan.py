"""What a route makes of one request."""

from dataclasses import dataclass

from freehold.serve.config import Record, Route
from freehold.serve.engines.engine import Engine
from freehold.serve.gateway.contemplation.council import Council
from freehold.serve.gateway.routing.canary import CanaryTrial


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route of the config, with its engines looked up."""

    name: str
    config: Route
    targets: tuple[tuple[Engine, int], ...]
    fallback: tuple[Engine, ...]
    canary: Engine | None
    shadow: Engine | None
    trial: CanaryTrial | None
    council: Council | None = None
    """Those who contemplate, on a route that does."""


@dataclass(slots=True)
class Plan:
    """Engines in the order in which they are tried; the first answers unless it fails before its first byte."""

    engines: tuple[Engine, ...]
    spec: RouteSpec | None = None
    """The route; None if the client named a model."""
    shadow: Engine | None = None
    council: Council | None = None
    """They answer together; `engines` are theirs, in no order."""

    @property
    def route(self) -> str:
        """Name of the route, or nothing."""
        return self.spec.name if self.spec else ""

    @property
    def first_byte_timeout_s(self) -> float | None:
        return self.spec.config.first_byte_timeout_s if self.spec else None

    @property
    def record(self) -> Record | None:
        return self.spec.config.record if self.spec else None

    def observe(self, engine: Engine, *, failed: bool, first_byte_s: float) -> None:
        """Tell the route's trial how the first choice did; one that nobody waited for tells nothing."""
        if self.spec is None or self.spec.trial is None or engine.name != self.engines[0].name:
            return
        if failed or first_byte_s:
            self.spec.trial.observe(engine.name, failed=failed, first_byte_s=first_byte_s)
