"""An attached engine: a vLLM that somebody else starts and ends, proven by the golden probe and watched.

In a cluster the kubelet starts it, beside this process in the same pod. It has lives, as a child of ours has: one that
went away and came back is proven again, and holds none of the adapters that were loaded before.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import aiohttp

from freehold.core.errors import EngineError
from freehold.core.store import Artifact
from freehold.serve.adapters import vllm_lora
from freehold.serve.adapters.status import AdapterStatus
from freehold.serve.config import VllmEngine
from freehold.serve.engines.abilities import chat_template_text, engine_abilities, has_abort
from freehold.serve.engines.diagnosis import Diagnosis
from freehold.serve.engines.engine import EngineState
from freehold.serve.engines.fingerprint import system_fingerprint
from freehold.serve.engines.listing import adapters_of
from freehold.serve.engines.probing import told_fingerprint
from freehold.serve.engines.proving import context_tokens, health, unproven
from freehold.serve.engines.vllm import quantizes_online
from freehold.serve.senses import read_senses

POLL_S = 0.5
RETRY_S = 5.0
"""Before an engine that did not answer its probe is asked again."""
SLOW_LIMIT = 3
"""Looks in a row at an engine that is there and too slow to say so, until it counts as not ready."""
TIMEOUT_S = 10.0


class AttachedEngine:
    """Satisfies `AdaptableEngine`. `report` is told a line at every step, for the person who watches."""

    def __init__(
        self,
        name: str,
        artifact: Artifact,
        config: VllmEngine,
        base_url: str,
        report: Callable[[str], None],
        *,
        version: str | None = None,
        max_lora_rank: int | None = None,
    ) -> None:
        """`version` is vLLM's as `prepare` was told it; with None the engine is asked, and believed."""
        self.name = name
        self.upstream_model = name
        self.base_url = base_url
        self.state = EngineState.STARTING
        self.detail = f"waiting for the engine at {base_url}"
        self.headers: Mapping[str, str] = {}
        self.fingerprint = ""
        self.provider = "vllm"
        self.is_spread = False
        self.leaves = False
        self.context_tokens = config.max_model_len
        self.can_abort = False
        self.abilities: frozenset[str] | None = engine_abilities(config, chat_template_text(artifact, config))
        self.senses = read_senses(artifact.path, config.extra_args)
        self.adapter: AdapterStatus | None = None
        self.artifact = artifact
        self.artifact_id = artifact.id
        self.max_lora_rank = max_lora_rank
        self.is_quantized_online = quantizes_online(config)
        self.life = 0
        self.is_there = False
        """Whether something answers at its address, ready or not."""
        self._config = config
        self._version = version
        self._report = report
        self._task: asyncio.Task[None] | None = None

    def speaks(self, anthropic: bool) -> bool:
        return True

    async def start(self) -> None:
        self._task = asyncio.create_task(self._attend(), name=f"attend {self.name}")

    async def stop(self) -> None:
        """Look no more; the engine itself goes on."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._set(EngineState.STOPPED, "nobody watches it any more")

    async def until_gone(self) -> None:
        """Return once nothing answers there."""
        while self.is_there:
            await asyncio.sleep(POLL_S / 5)

    # -- one life after the other ----------------------------------------------------------------------------------

    async def _attend(self) -> None:
        # No proxy from the environment, as for every engine.
        async with aiohttp.ClientSession() as session:
            while True:
                await self._until_healthy(session)
                self.life += 1
                self._set(EngineState.PROBING, "golden probe")
                trouble = await self._examine(session)
                if trouble is None:
                    self._set(EngineState.READY, "")
                    self._report(f"{self.name}: ready, {self.fingerprint}")
                else:
                    self._set(EngineState.FAILED, trouble.cause)
                    self._report(f"{self.name}: not ready: {trouble.cause}\n{trouble.remedy}")
                await self._while_alive(session, None if trouble is None or trouble.is_final else RETRY_S)

    async def _until_healthy(self, session: aiohttp.ClientSession) -> None:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                if await health(session, self.base_url) == 200:
                    self.is_there = True
                    return
            await asyncio.sleep(POLL_S)

    async def _while_alive(self, session: aiohttp.ClientSession, limit_s: float | None) -> None:
        """Return when it is gone, or after `limit_s`.

        One that refuses connections or is unwell has ended: vLLM needs many seconds to come back. One that is only slow
        has not, and is not proven again, which would make it slower still.
        """
        loop = asyncio.get_running_loop()
        deadline = None if limit_s is None else loop.time() + limit_s
        known, slow = (self.state, self.detail), 0
        while deadline is None or loop.time() < deadline:
            await asyncio.sleep(POLL_S)
            try:
                status = await health(session, self.base_url)
            except TimeoutError:
                slow += 1
                if slow == SLOW_LIMIT:
                    self._set(EngineState.UNREACHABLE, f"{self.base_url}/health does not answer in time")
                continue
            except aiohttp.ClientError as error:
                self._lost(f"{self.base_url} does not answer: {error}")
                return
            if status != 200:
                self._lost(f"{self.base_url}/health answers {status}")
                return
            slow = 0
            if (self.state, self.detail) != known:
                self._set(*known)

    def _lost(self, why: str) -> None:
        self.is_there = False
        self._set(EngineState.UNREACHABLE, why)
        self._report(f"{self.name}: the engine is gone: {why}")

    # -- proving ---------------------------------------------------------------------------------------------------

    async def _examine(self, session: aiohttp.ClientSession) -> Diagnosis | None:
        """Why it may not answer; None if it may. Leaves it without adapters, as a new life begins."""
        try:
            version = self._version or await _version(session, self.base_url)
            await self._clear(session)
        except (EngineError, aiohttp.ClientError, TimeoutError) as error:
            cause = f"it does not answer: {str(error) or type(error).__name__}"
            return Diagnosis(cause, "Read its log.", is_final=False)
        trouble = await unproven(session, self.base_url, self.name, self.artifact, self._config, self._report)
        if trouble is not None:
            return trouble
        self.can_abort = has_abort(version)
        self.context_tokens = await context_tokens(session, self.base_url, self.name)
        return await self._identify(session, version)

    async def _identify(self, session: aiohttp.ClientSession, version: str) -> Diagnosis | None:
        """Learn its fingerprint; other options than those of the config make another one."""
        expected = system_fingerprint(self.artifact, self._config, version, self.max_lora_rank)
        told = expected
        if self._config.probe == "require":
            try:
                told = await told_fingerprint(session, self.base_url, self.name)
            except EngineError as error:
                return Diagnosis(str(error), "Read its log.", is_final=False)
        if self._version is not None and told != expected:
            return Diagnosis(
                f"it was started with other options than the config has: it calls itself {told or 'nothing'}, and by "
                f"the config, the artifact {self.artifact.id} and version {version} it is {expected}",
                "Start the pod anew, so that `freehold engine prepare` writes its options again.",
                is_final=True,
            )
        self.fingerprint = told
        return None

    async def _clear(self, session: aiohttp.ClientSession) -> None:
        """Unload what another attendant loaded before. Raises EngineError, aiohttp.ClientError, TimeoutError."""
        if self.max_lora_rank is None:
            return
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with session.get(f"{self.base_url}/v1/models", timeout=timeout) as response:
            loaded = adapters_of(await response.read())
        for name in loaded:
            await vllm_lora.unload(session, self.base_url, name)

    def _set(self, state: EngineState, detail: str) -> None:
        self.state = state
        self.detail = detail


async def _version(session: aiohttp.ClientSession, base_url: str) -> str:
    async with session.get(f"{base_url}/version", timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as response:
        answer = await response.json(content_type=None) if response.status == 200 else {}
        return str(answer.get("version", "")) if isinstance(answer, dict) else ""
