"""One of several places that a model runs at: what its attendant tells of it, as the gateway sees it."""

from collections.abc import Iterable

import msgspec

from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.engines.mirrored import EngineView, MirroredEngine, view_of


class ReplicaStatus(msgspec.Struct, frozen=True):
    """The answer to an attendant's `GET /status`.

    Gateways of the versions before and after read it while a cluster is upgraded: a field that is added here or to
    `EngineView` needs a default.
    """

    model: str
    state: EngineState
    detail: str
    fingerprint: str
    engine: EngineView
    """The model, with everything that a gateway asks about an engine."""
    adapters: list[EngineView]
    """What is loaded or being loaded into it, each by the name that clients send."""


def describe_replica(engine: Engine, adapters: Iterable[Engine], *, is_leaving: bool = False) -> bytes:
    """The status as JSON; one that is leaving takes no new requests, whatever its engine could."""
    model = view_of(engine)
    others = [view_of(adapter) for adapter in adapters]
    if is_leaving:
        model, *others = [
            msgspec.structs.replace(view, state=EngineState.DRAINING, detail="it is shutting down")
            for view in (model, *others)
        ]
    status = ReplicaStatus(model.name, model.state, model.detail, model.fingerprint, model, others)
    return msgspec.json.encode(status)


class ReplicaEngine(MirroredEngine):
    """A model or an adapter at one place. Satisfies `Engine`."""

    def __init__(self, view: EngineView, replica: "Replica") -> None:
        super().__init__(view)
        self.replica = replica


class Replica:
    """One place. The engines stay the same objects while it is there: requests under way hold on to them."""

    def __init__(self, url: str) -> None:
        self.url = url
        """Base URL of its engine."""
        self.engines: dict[str, ReplicaEngine] = {}
        """By the name that clients send."""
        self.in_flight = 0
        """Requests that this gateway has there."""
        self.tokens = 0
        """What they weigh together, about."""
        self.is_gone = False
        """Nothing new is sent to it: its address is not the service's any more, or its attendant is silent."""
        self.detail = "its attendant was not asked yet"

    def show(self, status: ReplicaStatus) -> None:
        """Be like this from now on."""
        views = {view.name: msgspec.structs.replace(view, base_url=self.url) for view in _views(status)}
        for name in self.engines.keys() - views.keys():
            del self.engines[name]
        for name, view in views.items():
            known = self.engines.get(name)
            if known is None:
                self.engines[name] = ReplicaEngine(view, self)
            else:
                known.show(view)
        self.is_gone, self.detail = False, status.detail

    def hide(self, why: str) -> None:
        """Nothing is known of it any more."""
        self.is_gone, self.detail = True, why

    def ready(self, name: str) -> ReplicaEngine | None:
        """The model or adapter here, if it takes requests."""
        engine = self.engines.get(name)
        return engine if engine is not None and not self.is_gone and engine.state is EngineState.READY else None


def _views(status: ReplicaStatus) -> Iterable[EngineView]:
    return (status.engine, *status.adapters)
