"""Why an engine died: its exit status and its log, read into a cause and a remedy."""

import re
from dataclasses import dataclass
from pathlib import Path

TAIL_BYTES = 256 * 1024


@dataclass(frozen=True)
class Diagnosis:
    """One cause, in a sentence, and what to do."""

    cause: str
    remedy: str
    is_final: bool
    """Starting again with the same config cannot help."""
    is_chance: bool = False
    """Starting again is likely to help, also when the engine never was ready."""


@dataclass(frozen=True)
class _Symptom:
    pattern: re.Pattern[str]
    cause: str
    """May use the pattern's groups."""
    remedy: str
    is_chance: bool = False


def _symptom(pattern: str, cause: str, remedy: str, *, is_chance: bool = False) -> _Symptom:
    return _Symptom(re.compile(pattern, re.IGNORECASE), cause, remedy, is_chance)


# First match wins: a cause stands before the general errors that it brings about.
_SYMPTOMS = (
    _symptom(
        r"address already in use|errno 98",
        "its port was taken",
        "It is started again on another port.",
        is_chance=True,
    ),
    _symptom(
        r"No module named '?(vllm)\b",
        "vLLM is not installed in the engine's environment",
        "Run `freehold engine install vllm==0.32.0`, or `freehold doctor` to see what is there.",
    ),
    _symptom(
        r"(?:api_server\.py|vllm): error: ([^\n]+)",
        "vLLM does not accept an argument: {0}",
        "Correct `engine.extraArgs`, or use the engine version that knows the argument.",
    ),
    _symptom(
        r"Free memory on device[^\n]*\(([\d.]+/[\d.]+ GiB)\)[^\n]*less than desired GPU memory utilization",
        "the GPU has too little free memory ({0})",
        "End what else uses the GPU (`nvidia-smi`), or lower `engine.gpuMemoryUtilization`.",
    ),
    _symptom(
        r"(?:larger than the available KV cache memory|No available memory for the cache blocks)[^\n]*",
        "no memory is left for the KV cache at this context length",
        "Lower `engine.maxModelLen`, use a quantized artifact, or raise `engine.gpuMemoryUtilization` "
        "(`engine.cpuKvCacheGib` on a CPU).",
    ),
    _symptom(
        r"OutOfMemoryError|CUDA out of memory|hipErrorOutOfMemory",
        "the GPU ran out of memory",
        "Use a quantized artifact, a higher `engine.tensorParallel`, or a lower `engine.maxModelLen`.",
    ),
    _symptom(
        r"MemoryError|Cannot allocate memory|std::bad_alloc",
        "the machine ran out of memory",
        "Lower `engine.cpuKvCacheGib` or `engine.maxModelLen`, or use a smaller model.",
    ),
    _symptom(
        r"architectures? \[?'?(\w+)'?\]?[^\n]*(?:not supported|failed to be inspected)",
        "this vLLM does not know the architecture {0}",
        "Install a newer engine (`freehold engine install vllm==X`) and name it in `engine.python`.",
    ),
    _symptom(
        r"does not recognize this architecture|model type `?(\w+)`?[^\n]*not recognize",
        "this engine's transformers does not know the model type",
        "Install a newer engine (`freehold engine install vllm==X`) and name it in `engine.python`.",
    ),
    _symptom(
        r"pass the argument `?trust_remote_code|requires you to execute the configuration file",
        "the model needs code of its own repository",
        "Pull it again with `--allow-remote-code` if you trust that code.",
    ),
    _symptom(
        r"SafetensorError|HeaderTooLarge|InvalidHeaderDeserialization|MetadataIncompleteBuffer",
        "a weights file is damaged",
        "Run `freehold store verify`, then remove the artifact and pull it again.",
    ),
    _symptom(
        r"Unknown quantization method: (\w+)",
        "this engine cannot load the quantization method {0}",
        "Use an artifact in another format, or an engine environment with the plugin for it.",
    ),
    _symptom(
        r"No space left on device",
        "a disk or shared memory is full",
        "Make room (`df -h`, /dev/shm included).",
    ),
)

_PREFIX = re.compile(r"^\((?:\w|[- :])+(?: pid=\d+)?\)\s*(?:ERROR|CRITICAL)?[^\]]*\]?\s*")
_ORDINARY = re.compile(r"\b(?:DEBUG|INFO|WARNING) \d\d-\d\d \d\d:|^--- ")
"""vLLM's ordinary lines: they spell out every option, and so the words of many an error."""
_EXCEPTION = re.compile(r"\b((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit)): (.+)$")
_CONSEQUENCES = ("EngineDeadError", "Engine core initialization failed", "WorkerProc initialization failed")


def diagnose(status: int, log: str) -> Diagnosis:
    """Cause of an engine's end from its exit status and the end of its log."""
    log = "\n".join(line for line in log.splitlines() if not _ORDINARY.search(line))
    for symptom in _SYMPTOMS:
        if match := symptom.pattern.search(log):
            cause = symptom.cause.format(*match.groups())
            return Diagnosis(cause, symptom.remedy, is_final=not symptom.is_chance, is_chance=symptom.is_chance)
    if status in (137, -9):
        remedy = "Most often the kernel's out-of-memory killer: see `dmesg`; lower the memory settings."
        return Diagnosis("it was killed (SIGKILL)", remedy, is_final=False)
    exceptions = [match for line in log.splitlines() if (match := _EXCEPTION.search(line))]
    causes = [match for match in exceptions if not any(word in match.group(0) for word in _CONSEQUENCES)]
    if causes:
        return Diagnosis(f"{causes[-1].group(1)}: {causes[-1].group(2)[:300]}", "Read its log.", is_final=False)
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "its log is empty")
    return Diagnosis(f"it ended with status {status}: {_PREFIX.sub('', last)[:300]}", "Read its log.", is_final=False)


def read_tail(path: Path, start: int = 0) -> str:
    """The end of a log, at most 256 KiB, nothing before byte `start` (an earlier run of the same engine)."""
    if not path.is_file():
        return ""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(start, size - TAIL_BYTES))
        return stream.read().decode(errors="replace")
