"""Freehold's gateway as `freehold serve` runs it, in front of one engine.

`python -m bench.gateway.house PORT ENGINE_URL`
"""

import asyncio
import dataclasses
import sys
from collections.abc import Mapping

from bench.gateway.workloads import MODEL
from freehold.serve.config import GatewayConfig
from freehold.serve.engines.engine import EngineState
from freehold.serve.gateway import new_event_loop, serve_gateway


@dataclasses.dataclass
class StaticEngine:
    """An engine that is always there."""

    base_url: str
    name: str = MODEL
    upstream_model: str = MODEL
    state: EngineState = EngineState.READY
    detail: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fingerprint: str = "fp-0123456789abcdef"
    provider: str = "vllm"
    leaves: bool = False
    context_tokens: int | None = 8192
    can_abort: bool = False
    abilities: frozenset[str] | None = frozenset()

    def speaks(self, anthropic: bool) -> bool:
        return True

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


async def serve(port: int, engine_url: str) -> None:
    async with serve_gateway({MODEL: StaticEngine(engine_url)}, GatewayConfig(port=port)) as server:
        await server.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), sys.argv[2]))
