"""Who stands in front of the engines."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

FREEHOLD = ("prefix-affinity", "least-requests", "round-robin")
ROUTER = ("cache_aware", "consistent_hash", "round_robin")
BASELINE = "Freehold, least-requests"


@dataclass(frozen=True)
class Contender:
    """`command(port, engine URLs, folder)` starts it."""

    name: str
    command: Callable[[int, list[str], Path], list[str]]
    ready_path: str

    @property
    def slug(self) -> str:
        return self.name.lower().replace(", ", "-").replace(" ", "-")


def contenders(router: Path | None) -> list[Contender]:
    """Freehold's policies, and vllm-router's where its program is there."""
    ours = [Contender(f"Freehold, {policy}", _freehold(policy), "/ready") for policy in FREEHOLD]
    theirs = [] if router is None else [_vllm_router(router, policy) for policy in ROUTER]
    return ours + theirs


def _freehold(policy: str) -> Callable[[int, list[str], Path], list[str]]:
    def command(port: int, urls: list[str], folder: Path) -> list[str]:
        parts = [urlsplit(url) for url in urls]
        hosts = [str(part.hostname) for part in parts]
        house = [sys.executable, "-m", "bench.scale.engines.house", str(port), policy, str(folder / "home")]
        return [*house, str(parts[0].port), *hosts]

    return command


def _vllm_router(program: Path, policy: str) -> Contender:
    def command(port: int, urls: list[str], _: Path) -> list[str]:
        quiet = ["--log-level", "error", "--prometheus-port", str(port + 1)]
        return [str(program), "--port", str(port), "--worker-urls", *urls, "--policy", policy, *quiet]

    return Contender(f"vllm-router, {policy}", command, "/health")
