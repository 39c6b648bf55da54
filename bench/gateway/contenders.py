"""Who is measured, how each is started, and where its environment comes from."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.gateway.workloads import KEY, MODEL


@dataclass(frozen=True)
class Contender:
    """`command(environment, port, engine_url, scratch)` starts it; `packages` are what its own environment needs."""

    name: str
    command: Callable[[Path, int, str, Path], list[str]]
    packages: tuple[str, ...] = ()
    executable: str = ""
    ready_path: str = "/health"
    env: dict[str, str] = field(default_factory=dict)
    authorization: str = ""

    def environment(self, cache: Path) -> Path:
        return cache / self.name.replace("[", "-").replace("]", "")

    def missing(self, cache: Path) -> str:
        """Why it can't be measured here; empty if it can."""
        program = self.environment(cache) / "bin" / self.executable
        return "" if not self.packages or program.exists() else f"{program} does not exist (--setup makes it)"


def set_up(contenders: Sequence[Contender], cache: Path) -> None:
    """Make the environments of those that need one of their own."""
    for contender in contenders:
        if not contender.packages or not contender.missing(cache):
            continue
        folder = contender.environment(cache)
        print(f"Making {folder} with {' '.join(contender.packages)}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", *contender.packages], check=True)


def _freehold(*layers: str) -> Callable[[Path, int, str, Path], list[str]]:
    def command(_: Path, port: int, engine_url: str, scratch: Path) -> list[str]:
        folder = scratch / ("-".join(layers) or "bare")
        return [sys.executable, "-m", "bench.gateway.house", str(port), engine_url, str(folder), *layers]

    return command


def _proxy(_: Path, port: int, engine_url: str, __: Path) -> list[str]:
    return [sys.executable, "-m", "bench.gateway.proxy", str(port), engine_url]


def _vllm_router(environment: Path, port: int, engine_url: str, _: Path) -> list[str]:
    program = str(environment / "bin/vllm-router")
    quiet = ["--log-level", "error", "--prometheus-port", str(port + 1)]
    return [program, "--port", str(port), "--worker-urls", engine_url, "--policy", "round_robin", *quiet]


_LITELLM_CONFIG = f"""\
model_list:
  - model_name: {MODEL}
    litellm_params: {{model: openai/{MODEL}, api_base: "ENGINE/v1", api_key: none}}
litellm_settings: {{num_retries: 0, request_timeout: 600, turn_off_message_logging: true, set_verbose: false}}
general_settings: {{master_key: {KEY}}}
"""


def _litellm(environment: Path, port: int, engine_url: str, scratch: Path) -> list[str]:
    config = scratch / "litellm.yaml"
    config.write_text(_LITELLM_CONFIG.replace("ENGINE", engine_url))
    program = str(environment / "bin/litellm")
    return [program, "--config", str(config), "--port", str(port), "--num_workers", "1", "--telemetry", "False"]


FREEHOLD = "Freehold"

CONTENDERS = (
    Contender(FREEHOLD, _freehold("keys", "ledger", "limits"), authorization=KEY),
    Contender("vllm-router", _vllm_router, packages=("vllm-router==0.1.17",), executable="vllm-router"),
    Contender(
        "litellm[proxy]",
        _litellm,
        packages=("litellm[proxy]==1.106.2",),
        executable="litellm",
        ready_path="/health/liveliness",
        env={"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        authorization=KEY,
    ),
    Contender("FastAPI + httpx", _proxy),
)

LAYERS = (
    Contender("Freehold, nothing on", _freehold(), authorization=KEY),
    Contender("+ keys", _freehold("keys"), authorization=KEY),
    Contender("+ ledger", _freehold("keys", "ledger"), authorization=KEY),
    Contender(FREEHOLD, _freehold("keys", "ledger", "limits"), authorization=KEY),
    Contender("100,000 keys", _freehold("keys", "ledger", "limits", "many-keys"), authorization=KEY),
)
"""What each layer of governance adds; the last is for comparison with the one before it."""
