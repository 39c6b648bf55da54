"""Causes read from logs. The lines are those that engines print, shortened."""

import pytest

from freehold.serve.engines.diagnosis import diagnose

OPTIONS = (
    "(EngineCore pid=1) INFO 11-21 04:28:48 [core.py:133] Initializing a V1 LLM engine with config: "
    "trust_remote_code=False, OutOfMemoryError, Address already in use"
)


@pytest.mark.parametrize(
    ("log", "cause", "is_final"),
    [
        ("OSError: [Errno 98] Address already in use", "its port was taken", False),
        (
            "/usr/bin/python: Error while finding module specification for 'vllm.entrypoints.openai.api_server' "
            "(ModuleNotFoundError: No module named 'vllm')",
            "vLLM is not installed in the engine's environment",
            True,
        ),
        (
            "api_server.py: error: unrecognized arguments: --colour",
            "an argument: unrecognized arguments: --colour",
            True,
        ),
        (
            "ValueError: Free memory on device cuda:0 (3.2/79.1 GiB) on startup is less than desired GPU memory "
            "utilization (0.9, 71.2 GiB).",
            "the GPU has too little free memory (3.2/79.1 GiB)",
            True,
        ),
        (
            "ValueError: To serve at least one request with the models's max seq len (131072), (16.0 GiB KV cache is "
            "needed, which is larger than the available KV cache memory (8.1 GiB).",
            "no memory is left for the KV cache",
            True,
        ),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "the GPU ran out of memory", True),
        (
            "ValueError: Model architectures ['NewForCausalLM'] are not supported for now.",
            "does not know the architecture NewForCausalLM",
            True,
        ),
        ("SafetensorError: Error while deserializing header: HeaderTooLarge", "a weights file is damaged", True),
        ("ValueError: Unknown quantization method: bitsandbytes. Must be one of", "method bitsandbytes", True),
        ("RuntimeError: something odd\n(pid=1) EngineDeadError: see above", "RuntimeError: something odd", False),
        ("", "its log is empty", False),
    ],
)
def test_the_cause_is_named(log: str, cause: str, is_final: bool) -> None:
    found = diagnose(1, f"{OPTIONS}\n{log}" if log else "")
    assert cause in found.cause
    assert found.is_final is is_final
    assert found.remedy


def test_the_words_of_ordinary_lines_are_no_symptoms() -> None:
    assert diagnose(137, OPTIONS).cause == "it was killed (SIGKILL)"


def test_only_a_taken_port_is_chance() -> None:
    assert diagnose(1, "OSError: [Errno 98] Address already in use").is_chance
    assert not diagnose(1, "ImportError: cannot import name 'x': unsupported").is_chance
