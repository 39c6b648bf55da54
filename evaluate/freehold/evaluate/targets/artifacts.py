"""Which artifact a target says that it serves: a gateway of ours names it in its list of models."""

import asyncio
from collections.abc import Mapping

import httpx

from freehold.evaluate.targets.attempt import client_of
from freehold.evaluate.targets.endpoint import Endpoint

TIMEOUT_S = 10.0


async def served_artifacts(targets: Mapping[str, Endpoint], environ: Mapping[str, str]) -> dict[str, str]:
    """By the target's name; empty for one that does not say: what is not ours, or cannot be asked now."""
    found = await asyncio.gather(*(_served(endpoint, environ) for endpoint in targets.values()))
    return dict(zip(targets, found, strict=True))


async def _served(endpoint: Endpoint, environ: Mapping[str, str]) -> str:
    key = environ.get(endpoint.api_key_from.env) if endpoint.api_key_from else None
    async with client_of(endpoint, key) as client:
        try:
            answer = await client.get("/v1/models", timeout=TIMEOUT_S)
            models = answer.json()["data"] if answer.status_code == 200 else []
            mine = next(model for model in models if model["id"] == endpoint.model)
        except (httpx.HTTPError, ValueError, LookupError, TypeError, StopIteration):
            return ""
    return str(mine.get("root", "")) if mine.get("owned_by") == "freehold" else ""
