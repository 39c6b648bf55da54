"""An engine that another process runs: what the gateway's workers know of it, by the last line that they were sent."""

from collections.abc import Mapping

import msgspec

from freehold.serve.adapters.status import AdapterStatus
from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.senses import Senses


class EngineView(msgspec.Struct, frozen=True):
    """An engine at one moment, with its secrets: made for a pipe between two processes of ours and nothing else."""

    name: str
    upstream_model: str
    base_url: str
    state: EngineState
    detail: str
    headers: dict[str, str]
    fingerprint: str
    leaves: bool
    context_tokens: int | None
    can_abort: bool
    abilities: frozenset[str] | None
    adapter: AdapterStatus | None
    provider: str
    speaks_openai: bool
    speaks_anthropic: bool
    artifact_id: str = ""
    is_spread: bool = False
    senses: Senses | None = None


class MirroredEngine:
    """Satisfies `Engine`; whoever runs the real one starts and stops it."""

    def __init__(self, view: EngineView) -> None:
        self.show(view)

    def show(self, view: EngineView) -> None:
        """Be like this from now on."""
        self.name = view.name
        self.upstream_model = view.upstream_model
        self.base_url = view.base_url
        self.state = view.state
        self.detail = view.detail
        self.headers: Mapping[str, str] = view.headers
        self.fingerprint = view.fingerprint
        self.artifact_id = view.artifact_id
        self.leaves = view.leaves
        self.context_tokens = view.context_tokens
        self.can_abort = view.can_abort
        self.abilities = view.abilities
        self.senses = view.senses
        self.adapter = view.adapter
        self.provider = view.provider
        self.is_spread = view.is_spread
        self._speaks = (view.speaks_openai, view.speaks_anthropic)

    def speaks(self, anthropic: bool) -> bool:
        return self._speaks[anthropic]

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class MirroredFleet:
    """Engines by model name, each as the last line showed it. The objects stay the same: routes hold on to them."""

    def __init__(self) -> None:
        self.engines: dict[str, Engine] = {}

    def show(self, line: bytes) -> None:
        """Take a line that `describe` has made."""
        views = msgspec.json.decode(line, type=list[EngineView])
        for name in self.engines.keys() - {view.name for view in views}:
            del self.engines[name]  # an adapter that was unloaded; no route leads to one that may be
        for view in views:
            mirrored = self.engines.get(view.name)
            if isinstance(mirrored, MirroredEngine):
                mirrored.show(view)
            else:
                self.engines[view.name] = MirroredEngine(view)


def describe(engines: Mapping[str, Engine]) -> bytes:
    """All engines as they are now, in one line."""
    return msgspec.json.encode([view_of(engine) for engine in engines.values()]) + b"\n"


def view_of(engine: Engine) -> EngineView:
    """The engine as it is now."""
    return EngineView(
        name=engine.name,
        upstream_model=engine.upstream_model,
        base_url=engine.base_url,
        state=engine.state,
        detail=engine.detail,
        headers=dict(engine.headers),
        fingerprint=engine.fingerprint,
        leaves=engine.leaves,
        context_tokens=engine.context_tokens,
        can_abort=engine.can_abort,
        abilities=engine.abilities,
        adapter=engine.adapter,
        provider=engine.provider,
        speaks_openai=engine.speaks(anthropic=False),
        speaks_anthropic=engine.speaks(anthropic=True),
        artifact_id=engine.artifact_id,
        is_spread=engine.is_spread,
        senses=engine.senses,
    )
