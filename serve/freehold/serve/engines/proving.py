"""What stands between an engine that runs and one that counts as ready, whoever started it."""

import time
from collections.abc import Callable

import aiohttp

from freehold.core.errors import EngineError
from freehold.core.store import Artifact
from freehold.serve.config import VllmEngine
from freehold.serve.engines.diagnosis import Diagnosis
from freehold.serve.engines.listing import context_of
from freehold.serve.engines.probing import probe_engine
from freehold.serve.engines.vllm import quantizes_online

HEALTH_TIMEOUT_S = 2.0
LISTING_TRIES = 15
"""A busy engine has half a minute to say how long its context is: what it says holds for its whole life."""


async def unproven(
    session: aiohttp.ClientSession,
    base_url: str,
    name: str,
    artifact: Artifact,
    config: VllmEngine,
    report: Callable[[str], None],
) -> Diagnosis | None:
    """The golden probe: why the engine is not the artifact, with the numbers; None if it is, or none is asked for.

    A diagnosis that is not final is of an engine that did not answer.
    """
    if config.probe == "off":
        report(f"{name}: served without the golden probe, as configured (engine.probe: off).")
        return None
    reference = artifact.lineage.probe
    if reference.status != "computed":
        return Diagnosis(
            f"there is no golden-probe reference for {artifact.id} ({reference.reason})",
            f"Run `freehold store probe {artifact.id}`, or serve unproven with `engine: {{probe: off}}`.",
            is_final=True,
        )
    began = time.monotonic()
    try:
        verdict = await probe_engine(session, base_url, name, reference, quantized_online=quantizes_online(config))
    except EngineError as error:
        return Diagnosis(str(error), "Read its log.", is_final=False)
    if not verdict.passed:
        return Diagnosis(
            f"the golden probe refused it: {'; '.join(verdict.problems)} ({verdict})",
            "Run `freehold store verify` on the artifact, and check the engine's options.",
            is_final=True,
        )
    report(f"{name}: golden probe: {time.monotonic() - began:.1f} s, {verdict}")
    return None


async def is_healthy(session: aiohttp.ClientSession, base_url: str) -> bool:
    """Whether its `/health` says so within two seconds."""
    try:
        return await health(session, base_url) == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def health(session: aiohttp.ClientSession, base_url: str) -> int:
    """The status of its `/health`. Raises aiohttp.ClientError, and TimeoutError after two seconds."""
    async with session.get(f"{base_url}/health", timeout=aiohttp.ClientTimeout(total=HEALTH_TIMEOUT_S)) as response:
        return response.status


async def context_tokens(session: aiohttp.ClientSession, base_url: str, name: str) -> int | None:
    """The longest prompt and answer together that it takes of a model; None if it does not say."""
    timeout = aiohttp.ClientTimeout(total=HEALTH_TIMEOUT_S)
    for _ in range(LISTING_TRIES):
        try:
            async with session.get(f"{base_url}/v1/models", timeout=timeout) as response:
                return context_of(await response.read(), name)
        except TimeoutError:
            continue
        except aiohttp.ClientError:
            return None
    return None
