"""What the driver is told: one JSON file, which holds the gate's secret and is for our user's eyes alone."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from freehold.core.store import Artifact
from freehold.serve.config import Autoscaling, RayEngine
from freehold.serve.engines.vllm import arguments_of, engine_environment, engine_options

DRIVER = Path(__file__).parent / "standalone" / "driver.py"
ATTEMPTS = 3
"""A replica that is refused ends the engine at once; one that was lost while it started is tried again."""
LOOK_BACK_S = 5.0
"""Serve's own 30 s would add to `upAfterS`."""


class Orders(msgspec.Struct, frozen=True):
    """One application of Ray Serve."""

    application: str
    route: str
    address: str
    is_alone: bool
    """The cluster is this machine, so that nothing need be reached from elsewhere."""
    model: str
    model_path: str
    arguments: list[str]
    """vLLM's command line."""
    env: dict[str, str]
    resources: dict[str, float]
    """Of each worker."""
    placement: str
    replicas: int | None
    autoscaling: dict[str, Any] | None
    """As Serve calls it."""
    attempts: int
    """How often Serve tries to start a first replica."""
    gate: dict[str, str]
    """`url` and `token`."""

    def write(self, path: Path) -> None:
        """Write them for the driver."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        path.write_bytes(msgspec.json.encode(self))


def write_orders(
    path: Path,
    artifact: Artifact,
    config: RayEngine,
    *,
    name: str,
    fingerprint: str,
    has_gpu: bool,
    aborts: bool,
    max_lora_rank: int | None,
    address: str,
    gate: Mapping[str, str],
) -> Orders:
    """The orders that serve `artifact` as `name`."""
    options = engine_options(
        artifact,
        config,
        name=name,
        host="",
        port=0,
        fingerprint=fingerprint,
        has_gpu=has_gpu,
        aborts=aborts,
        max_lora_rank=max_lora_rank,
    )
    for option in ("host", "port"):  # Serve's proxy listens
        del options[option]
    slug = slug_of(name)
    orders = Orders(
        application=f"freehold-{slug}",
        route=f"/freehold/{slug}",
        address=address,
        is_alone=config.address == "auto",
        model=name,
        model_path=str(artifact.path),
        arguments=[*arguments_of(options), *config.extra_args],
        env=engine_environment(config, has_gpu=has_gpu, adapts=max_lora_rank is not None),
        resources=worker_resources(config, has_gpu=has_gpu),
        placement=config.placement.upper().replace("-", "_"),
        replicas=None if config.autoscaling else config.replicas,
        autoscaling=_autoscaling(config.autoscaling) if config.autoscaling else None,
        attempts=ATTEMPTS,
        gate=dict(gate),
    )
    orders.write(path)
    return orders


def slug_of(name: str) -> str:
    """A model's name as Serve takes it for an application and a route; different names stay different."""
    slug = re.sub(r"[^A-Za-z0-9_-]", "-", name)
    return slug if slug == name else f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def worker_resources(config: RayEngine, *, has_gpu: bool) -> dict[str, float]:
    """What each worker takes of its node."""
    return dict(config.resources) if config.resources else {"GPU" if has_gpu else "CPU": 1.0}


def _autoscaling(config: Autoscaling) -> dict[str, Any]:
    return {
        "min_replicas": config.min,
        "max_replicas": config.max,
        "initial_replicas": max(1, config.min),  # so that it is proven before anybody asks
        "target_ongoing_requests": config.target_requests,
        "upscale_delay_s": config.up_after_s,
        "downscale_delay_s": config.down_after_s,
        "look_back_period_s": LOOK_BACK_S,
        "metrics_interval_s": LOOK_BACK_S / 5,
    }
