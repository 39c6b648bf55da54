"""What engines say of themselves: vLLM's own metrics, asked of each place that answers for a model."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

import aiohttp

from freehold.serve.engines.engine import Engine, EngineState
from freehold.serve.engines.service import ServiceEngine

TIMEOUT_S = 1.0
AT_ONCE = 16
_NAMES = ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc")

Place = tuple[str, Mapping[str, str]]
"""Base URL, and the headers that it wants."""


class EngineReading(NamedTuple):
    """One model's engines, all its places together."""

    running: float
    queued: float
    kv_usage: float
    """Share of the KV cache that is in use, from 0 to 1; of several places the fullest."""


async def read_engines(engines: Mapping[str, Engine]) -> dict[str, EngineReading]:
    """Readings by model; one whose engine tells nothing is not among them. Nothing that leaves the house is asked."""
    limit = asyncio.Semaphore(AT_ONCE)
    asked = {name: _places(engine) for name, engine in engines.items() if _is_asked(engine)}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
        answers = await asyncio.gather(*(_model(session, limit, places) for places in asked.values()))
    return {name: reading for name, reading in zip(asked, answers, strict=True) if reading is not None}


def _is_asked(engine: Engine) -> bool:
    is_vllm = engine.provider == "vllm" and engine.adapter is None
    return is_vllm and not engine.leaves and engine.state is EngineState.READY


def _places(engine: Engine) -> list[Place]:
    if isinstance(engine, ServiceEngine):
        replicas = engine.service.replicas.values()
        return [(one.url, one.engines[engine.name].headers) for one in replicas if one.ready(engine.name)]
    return [(engine.base_url, engine.headers)]


async def _model(
    session: aiohttp.ClientSession, limit: asyncio.Semaphore, places: Iterable[Place]
) -> EngineReading | None:
    readings = await asyncio.gather(*(_place(session, limit, url, headers) for url, headers in places))
    told = [reading for reading in readings if reading is not None]
    if not told:
        return None
    running, queued, kv_usage = zip(*told, strict=True)
    return EngineReading(sum(running), sum(queued), max(kv_usage))


async def _place(
    session: aiohttp.ClientSession, limit: asyncio.Semaphore, url: str, headers: Mapping[str, str]
) -> EngineReading | None:
    async with limit:
        with suppress(TimeoutError):
            return await read_engine(session, url, headers)
    return None


async def read_engine(session: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> EngineReading | None:
    """What the engine at this address says of itself; None if nobody is there, or it is no vLLM.

    Raises TimeoutError for one that is there and does not say it in time.
    """
    try:
        async with session.get(f"{url}/metrics", headers=dict(headers), allow_redirects=False) as answer:
            return parse_engine(await answer.text()) if answer.status == 200 else None
    except TimeoutError:  # which is an OSError
        raise
    except (aiohttp.ClientError, OSError, UnicodeDecodeError):
        return None


def parse_engine(text: str) -> EngineReading | None:
    """The three numbers out of vLLM's exposition; None if one of them is missing, as of what is no vLLM."""
    found: dict[str, list[float]] = {}
    for line in text.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name in _NAMES:
            try:
                found.setdefault(name, []).append(float(line.rpartition(" ")[2]))
            except ValueError:
                return None
    if len(found) < len(_NAMES):
        return None
    # A process of several ranks has a line for each.
    running, queued, kv_usage = (found[name] for name in _NAMES)
    return EngineReading(sum(running), sum(queued), max(kv_usage))
