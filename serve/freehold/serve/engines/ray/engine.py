"""A Ray engine: an application of Ray Serve that a child of ours deploys, each replica of it proven before it answers.

Serve places, restarts and scales the replicas, and spreads requests over them; the gateway asks Serve's HTTP proxy. The
model is ready while a replica runs, or while it sleeps: then Serve holds the request that wakes it.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from freehold.core.policy import NO_POLICY, Policies
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.serve.adapters.engine import AdapterEngine
from freehold.serve.adapters.host import Wanted
from freehold.serve.adapters.status import AdapterStatus
from freehold.serve.config import RayEngine as RayConfig
from freehold.serve.engines.abilities import RESPONSE_STORE, chat_template_text, engine_abilities, has_abort
from freehold.serve.engines.child import Child
from freehold.serve.engines.diagnosis import Diagnosis, diagnose
from freehold.serve.engines.engine import EngineState
from freehold.serve.engines.fingerprint import system_fingerprint
from freehold.serve.engines.process import EngineRuntime
from freehold.serve.engines.ray.cluster import cluster_address, cluster_environment
from freehold.serve.engines.ray.gate import Gate, Hello, Told
from freehold.serve.engines.ray.orders import DRIVER, Orders, slug_of, worker_resources, write_orders
from freehold.serve.engines.ray.replica import RayReplica
from freehold.serve.engines.supervised import EndedError, Supervised
from freehold.serve.engines.vllm import quantizes_online
from freehold.serve.senses import read_senses

POLL_S = 0.1
SILENT_LIMIT_S = 120.0
"""The driver tells something twice a second. One that is only slow must not cost the replicas."""


class RayEngine(Supervised):
    """Satisfies `AdaptableEngine`: all replicas are one engine for the gateway."""

    def __init__(
        self,
        name: str,
        artifact: Artifact,
        config: RayConfig,
        runtime: EngineRuntime,
        store: Store,
        report: Callable[[str], None],
        settings: Settings,
        max_lora_rank: int | None = None,
        policies: Policies = NO_POLICY,
    ) -> None:
        """`runtime.has_gpu` is whether each worker gets a GPU; `policies` judge its adapters."""
        super().__init__(name, config.restart, runtime.log, report)
        self.upstream_model = name
        self.base_url = ""
        self.headers: Mapping[str, str] = {}
        self.fingerprint = system_fingerprint(artifact, config, runtime.version, max_lora_rank)
        self.provider = "vllm"
        self.is_spread = True
        self.leaves = False
        self.context_tokens = config.max_model_len
        # Serve sends each request to any replica, an abort or a question for a stored response too.
        self.can_abort = has_abort(runtime.version) and config.most_replicas == 1
        abilities = engine_abilities(config, chat_template_text(artifact, config))
        self.abilities: frozenset[str] | None = abilities - ({RESPONSE_STORE} if config.most_replicas > 1 else set())
        self.senses = read_senses(artifact.path, config.extra_args)
        self.adapter: AdapterStatus | None = None
        self.artifact = artifact
        self.artifact_id = artifact.id
        self.max_lora_rank = max_lora_rank
        self.is_quantized_online = quantizes_online(config)
        self._policies = policies
        self.replicas: dict[str, RayReplica] = {}
        """By the URL of their own vLLM."""
        self.adapters: dict[str, AdapterEngine] = {}
        """By the name that clients send."""
        self._wanted: Mapping[str, Wanted] | None = None if max_lora_rank is None else {}
        self._config = config
        self._runtime = runtime
        self._store = store
        self._settings = settings
        self._policies = policies
        self._gate = Gate(config.address, self._hear, self._prove)
        self._told: Told | None = None
        self._told_at = 0.0
        self._refusal = ""

    def speaks(self, anthropic: bool) -> bool:
        return True

    async def start(self) -> None:
        await self._gate.start()
        await super().start()

    async def stop(self) -> None:
        """The driver takes the application out of the cluster before it ends."""
        await super().stop()
        await self._forget_replicas()
        await self._gate.stop()

    def want(self, wanted: Mapping[str, Wanted]) -> None:
        """Adapters that each replica is to have, those that Serve starts later too."""
        self._wanted = wanted
        for replica in self.replicas.values():
            if replica.host is not None:
                replica.host.want(wanted)

    def running_replicas(self) -> list[RayReplica]:
        """Those that were let in, and are not known to be gone."""
        return [replica for replica in self.replicas.values() if replica.is_let_in and not replica.is_gone]

    # -- the gate --------------------------------------------------------------------------------------------------

    def _hear(self, told: Told) -> None:
        self._told, self._told_at = told, time.monotonic()

    async def _prove(self, hello: Hello) -> str:
        """Why a replica may not begin; empty if it may."""
        if hello.version != self._runtime.version:
            return self._refuse(
                f"its node has vLLM {hello.version}, and the engine environment here {self._runtime.version}; "
                "all need the same"
            )
        replica = RayReplica(
            self.name,
            self.artifact,
            self._config,
            hello.url,
            self._store,
            self._report,
            version=self._runtime.version,
            max_lora_rank=self.max_lora_rank,
            wanted=self._wanted,
            policies=self._policies,
        )
        self.replicas[hello.url] = replica
        await replica.start()
        is_let_in = False
        try:
            refusal = await replica.refusal() or self._lacking(replica)
            is_let_in = replica.is_let_in = not refusal
        finally:
            if not is_let_in:
                self.replicas.pop(hello.url, None)
                await replica.stop()
        if refusal and replica.is_lost:  # that is no verdict: Serve starts another
            self._report(f"{self.name}: a replica was lost: {refusal}")
            return refusal
        if refusal:
            return self._refuse(refusal)
        self.context_tokens = replica.engine.context_tokens
        self._report(f"{self.name}: replica at {hello.url} may begin")
        return ""

    def _lacking(self, replica: RayReplica) -> str:
        """Serve sends requests for an adapter to any replica: one that has not what the others have may not begin."""
        for name, adapter in self.adapters.items():
            own = replica.adapter(name)
            if adapter.is_loaded and (own is None or own.state is not EngineState.READY):
                return f"adapter {name}: {own.detail if own else 'not loaded'}"
        return ""

    def _refuse(self, why: str) -> str:
        self._refusal = why
        self._report(f"{self.name}: a replica was refused: {why}")
        return why

    async def _drop_gone(self) -> None:
        for url, replica in list(self.replicas.items()):
            if replica.is_gone:
                del self.replicas[url]
                await replica.stop()
                self._report(f"{self.name}: replica at {url} is gone")

    async def _forget_replicas(self) -> None:
        replicas = list(self.replicas.values())
        self.replicas.clear()
        for replica in replicas:
            await replica.stop()

    # -- one life of the application -------------------------------------------------------------------------------

    async def _run_once(self) -> tuple[Diagnosis, float]:
        self.life += 1
        self._told, self._refusal = None, ""
        address = cluster_address(self._settings, self._config.address)
        self._set(EngineState.STARTING, f"connecting to the Ray cluster at {address}")
        self._report(f"{self.name}: {self.detail} …")
        orders_file = self._settings.run_root / "ray" / f"{slug_of(self.name)}.json"
        orders = write_orders(
            orders_file,
            self.artifact,
            self._config,
            name=self.name,
            fingerprint=self.fingerprint,
            has_gpu=self._runtime.has_gpu,
            aborts=self.can_abort,
            max_lora_rank=self.max_lora_rank,
            address=address,
            gate={"url": self._gate.url, "token": self._gate.token},
        )
        command = (str(self._runtime.python), str(DRIVER), str(orders_file))
        self._child = await Child.start(command, cluster_environment(self._settings), self._runtime.log)
        try:
            await self._until_ready(self._child, orders)
            ready_since = time.monotonic()
            diagnosis = await self._while_it_lives(self._child)
            return diagnosis, time.monotonic() - ready_since
        except EndedError as ended:
            return ended.diagnosis, 0.0
        finally:
            await self._child.stop()
            await self._forget_replicas()
            with suppress(FileNotFoundError):
                orders_file.unlink()

    async def _until_ready(self, child: Child, orders: Orders) -> None:
        began = time.monotonic()
        while True:
            await self._look(child)
            told = self._told
            if self._refusal:
                raise EndedError(Diagnosis(self._refusal, _REFUSED_REMEDY, is_final=not self._was_ready))
            if told is not None:
                self._set(EngineState.PROBING if self.replicas else EngineState.STARTING, _progress(told))
                if told.running and self.running_replicas():
                    self.base_url = told.url
                    self._was_ready = True
                    self._set(EngineState.READY, "")
                    return
            if time.monotonic() - began > self._config.start_timeout_s:
                raise EndedError(self._too_late(orders))
            await asyncio.sleep(POLL_S)

    async def _while_it_lives(self, child: Child) -> Diagnosis:
        """Follow what Serve does until it gives up, or the driver ends."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self._look(child)
            except EndedError as ended:
                return ended.diagnosis
            assert self._told is not None, "it was ready"
            if time.monotonic() - self._told_at > SILENT_LIMIT_S:
                return Diagnosis(
                    "its driver hears nothing of the cluster", "See `freehold ray status`.", is_final=False
                )
            if self._told.running or (self._config.may_sleep and self._told.status == "RUNNING"):
                self._set(EngineState.READY, "")
            else:
                self._set(EngineState.RESTARTING, _progress(self._told))

    async def _look(self, child: Child) -> None:
        """Raises EndedError once the application cannot go on."""
        await self._drop_gone()
        if child.has_ended:
            raise EndedError(diagnose_driver(await child.wait(), child.log_text()))
        if self._told is not None and self._told.status in ("DEPLOY_FAILED", "GONE"):
            if self._told.status == "GONE" and not self._was_ready:
                return  # Serve does not know of it yet
            raise EndedError(diagnose_application(self._told, self._refusal, child.log_text()))

    def _too_late(self, orders: Orders) -> Diagnosis:
        waited = f"it was not ready within {self._config.start_timeout_s:.0f} s"
        if self._told is None:
            return Diagnosis(f"{waited}, and its driver has told nothing", "Read its log.", is_final=True)
        wanted = worker_resources(self._config, has_gpu=self._runtime.has_gpu)
        free = ", ".join(f"{key} {amount:g}" for key, amount in sorted(self._told.free.items())) or "nothing"
        return Diagnosis(
            f"{waited}: {_progress(self._told)}; each worker wants {wanted}, and the cluster has left: {free}",
            "Add nodes with `freehold ray up --address`, take less with `engine.resources`, or raise "
            "`engine.startTimeoutS` if it only needs longer.",
            is_final=True,
        )


_REFUSED_REMEDY = "Run `freehold store verify` on the artifact, and look at the nodes with `freehold ray status`."


def _progress(told: Told) -> str:
    states = ", ".join(f"{count} {state.lower()}" for state, count in sorted(told.replicas.items())) or "none yet"
    message = f"; {_first_line(told.message)}" if told.message else ""
    return f"Ray Serve: {told.status.lower()}, replicas: {states}{message}"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:300]


def diagnose_driver(status: int, log: str) -> Diagnosis:
    """Why the driver ended."""
    told = re.findall(r"^freehold: (.+)$", log, re.MULTILINE)
    if told and told[-1].startswith("no Ray cluster"):
        return Diagnosis(told[-1], "Start one with `freehold ray up`, or correct `engine.address`.", is_final=False)
    if told and told[-1].startswith("the cluster has other nodes"):
        remedy = "Say `engine.address: HOST:PORT` of the head, as `freehold ray status` shows it."
        return Diagnosis(told[-1], remedy, is_final=True)
    if re.search(r"No module named '?ray\b", log):
        remedy = "Install it there (`ray[serve]`, not `ray[llm]`), or name another in `engine.python`."
        return Diagnosis("Ray is not installed in the engine environment", remedy, is_final=True)
    return diagnose(status, log)


def diagnose_application(told: Told, refusal: str, log: str) -> Diagnosis:
    """Why Serve has given the application up."""
    if told.status == "GONE":
        remedy = "Somebody deleted it there; each `freehold serve` on a cluster needs other names of models."
        return Diagnosis("its application is not in the cluster any more", remedy, is_final=False)
    if refusal:
        return Diagnosis(refusal, _REFUSED_REMEDY, is_final=False)
    found = diagnose(1, told.message + "\n" + log)
    return Diagnosis(found.cause, found.remedy, is_final=found.is_final, is_chance=found.is_chance)
