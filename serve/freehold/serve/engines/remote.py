"""A remote engine: any OpenAI-compatible endpoint that somebody else runs."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress

import aiohttp

from freehold.core.errors import ConfigError
from freehold.serve.adapters.status import AdapterStatus
from freehold.serve.config import RemoteEngine as RemoteConfig
from freehold.serve.engines.engine import EngineState
from freehold.serve.engines.listing import context_of
from freehold.serve.senses import Senses

CHECK_INTERVAL_S = 5.0
CHECK_TIMEOUT_S = 5.0


class RemoteEngine:
    """Ready while its `/v1/models` answers; looked at every five seconds."""

    def __init__(self, name: str, config: RemoteConfig, environ: Mapping[str, str] = os.environ) -> None:
        self.name = name
        self.upstream_model = config.model or name
        self.base_url = config.base_url
        self.state = EngineState.STARTING
        self.detail = "not asked yet"
        self.headers: Mapping[str, str] = _authorization(name, config, environ)
        self.fingerprint = self.artifact_id = ""  # what answers there is not ours to vouch for
        self.provider = "vllm"
        self.is_spread = False
        self.leaves = config.leaves
        self.context_tokens: int | None = None
        self.can_abort = True  # it may be a vLLM; one that is not says so with a 404
        self.abilities: frozenset[str] | None = None
        self.senses: Senses | None = None
        self.adapter: AdapterStatus | None = None
        self._task: asyncio.Task[None] | None = None

    def speaks(self, anthropic: bool) -> bool:
        return True

    async def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name=f"watch {self.name}")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self.state = EngineState.STOPPED

    async def _watch(self) -> None:
        timeout = aiohttp.ClientTimeout(total=CHECK_TIMEOUT_S)
        # No proxy from the environment: the gateway talks to engines directly, and so must what calls them ready.
        async with aiohttp.ClientSession(timeout=timeout, headers=dict(self.headers)) as session:
            while True:
                self.state, self.detail = await self._check(session)
                await asyncio.sleep(CHECK_INTERVAL_S)

    async def _check(self, session: aiohttp.ClientSession) -> tuple[EngineState, str]:
        try:
            async with session.get(f"{self.base_url}/v1/models") as response:
                if response.status == 200:
                    self.context_tokens = context_of(await response.read(), self.upstream_model)
                    return EngineState.READY, ""
                return EngineState.UNREACHABLE, f"{self.base_url}/v1/models answers {response.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            return EngineState.UNREACHABLE, f"{self.base_url} does not answer: {str(error) or type(error).__name__}"


def _authorization(name: str, config: RemoteConfig, environ: Mapping[str, str]) -> dict[str, str]:
    if config.api_key_from is None:
        return {}
    variable = config.api_key_from.env
    if not environ.get(variable):
        raise ConfigError(
            "A secret is missing",
            [f"models.{name}.engine.apiKeyFrom.env: the environment variable {variable} is not set"],
            next_step=f"Run `export {variable}=…` before `freehold serve`.",
        )
    return {"Authorization": f"Bearer {environ[variable]}"}
