"""Freehold's gateway as `freehold serve` runs it, in front of one engine.

`python -m bench.gateway.house PORT ENGINE_URL FOLDER [LAYER …]`: each layer of governance that is to be on.
"""

import asyncio
import dataclasses
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from sqlalchemy import update

from bench.gateway.workloads import KEY, MODEL
from freehold.core.settings import Settings
from freehold.serve.config import DeploymentConfig, parse_config
from freehold.serve.engines.engine import EngineState
from freehold.serve.gateway import new_event_loop, serve_gateway
from freehold.serve.gateway.services import Services
from freehold.serve.governing import governance
from freehold.serve.state.database import default_url, open_database
from freehold.serve.state.key_fields import NewKey
from freehold.serve.state.key_secret import digest_of
from freehold.serve.state.keys import KeyStore
from freehold.serve.state.migrating import migrate
from freehold.serve.state.tables import KeyRow

KEYS, LIMITS, LEDGER, MANY_KEYS = "keys", "limits", "ledger", "many-keys"
LAYERS = (KEYS, LIMITS, LEDGER, MANY_KEYS)

_PLENTY = 10**12
PLENTY_OF_ALL = {
    "requests_per_minute": 10**9,
    "tokens_per_minute": _PLENTY,
    "concurrent_requests": 10**6,
    "monthly_tokens": _PLENTY,
    "monthly_money": 10**6,
}


@dataclasses.dataclass(eq=False)
class StaticEngine:
    """An engine that is always there."""

    base_url: str
    name: str = MODEL
    upstream_model: str = MODEL
    state: EngineState = EngineState.READY
    detail: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fingerprint: str = "fp-0123456789abcdef"
    artifact_id: str = ""
    provider: str = "vllm"
    leaves: bool = False
    context_tokens: int | None = 8192
    can_abort: bool = True
    abilities: frozenset[str] | None = frozenset()
    senses: None = None
    adapter: None = None
    is_spread: bool = False

    def speaks(self, anthropic: bool) -> bool:
        return True

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def _config(port: int, engine_url: str, layers: frozenset[str]) -> DeploymentConfig:
    gateway = {"port": port, "auth": "keys" if KEYS in layers else "none"}
    model = {"engine": {"kind": "remote", "baseUrl": engine_url}, "cost": {"gpuHour": 2.5}}
    return parse_config({"models": {MODEL: model}, "gateway": gateway}, "The benchmark's config")


def make_key(settings: Settings, layers: frozenset[str]) -> None:
    """A key with the secret that the load sends, and with `many-keys` 100,000 others."""
    database = open_database(default_url(settings.home))
    migrate(database)
    store = KeyStore(database)
    limits = PLENTY_OF_ALL if LIMITS in layers else {}
    record, _ = store.create(NewKey.model_validate({"name": "bench", "team": "bench", **limits}))
    with database.transaction() as connection:
        connection.execute(update(KeyRow).where(KeyRow.id == record.id).values(secret_hash=digest_of(KEY.encode())))
    if MANY_KEYS in layers:
        store.create_many([NewKey.model_validate({"name": f"key {number}", **limits}) for number in range(100_000)])
    database.close()


async def serve(port: int, engine_url: str, folder: Path, layers: frozenset[str]) -> None:
    config = _config(port, engine_url, layers)
    engines = {MODEL: StaticEngine(engine_url)}
    async with AsyncExitStack() as stack:
        services = Services()
        if layers:
            settings = Settings(home=folder)
            make_key(settings, layers)
            services = await stack.enter_async_context(governance(config, settings, {}))
            services = dataclasses.replace(
                services,
                ledger=services.ledger if LEDGER in layers else None,
                quotas=services.quotas if LIMITS in layers else None,
            )
        server = await stack.enter_async_context(serve_gateway(engines, config.gateway, services=services))
        await server.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), frozenset(sys.argv[4:])))
