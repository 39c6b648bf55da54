"""The command line and environment of a vLLM; the phases in its log; the fingerprint."""

from pathlib import Path

import pytest
from fixtures.models import add_artifact

from freehold.core.store import Artifact, Store
from freehold.serve.config import ProcessEngine
from freehold.serve.engines.fingerprint import system_fingerprint
from freehold.serve.engines.vllm import Launch, current_phase, launch, quantizes_online


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return add_artifact(Store(tmp_path / "store"), "alpha", {"config.json": b"{}"})


def _launch(artifact: Artifact, *, has_gpu: bool = False, **options: object) -> Launch:
    config = ProcessEngine.model_validate(options)
    python = Path("/env/bin/python")
    return launch(
        artifact, config, name="a", python=python, port=1, fingerprint="fh-1", has_gpu=has_gpu, environ={"KEEP": "1"}
    )


def test_options_become_arguments(artifact: Artifact) -> None:
    started = _launch(artifact, maxModelLen=2048, toolCallParser="hermes", extraArgs=["--seed", "1"], env={"X": "2"})
    text = " ".join(started.command)
    assert f"--model {artifact.path} --served-model-name a --host 127.0.0.1 --port 1" in text
    assert "--max-model-len 2048" in text
    assert "--tool-call-parser hermes" in text and "--enable-auto-tool-choice" in text
    assert "--trust-remote-code" not in text
    assert text.endswith("--seed 1")
    assert started.env["KEEP"] == "1" and started.env["X"] == "2"
    assert started.env["HF_HUB_OFFLINE"] == "1" and started.env["VLLM_NO_USAGE_STATS"] == "1"


def test_remote_code_runs_only_where_the_lineage_allows_it(tmp_path: Path) -> None:
    allowed = add_artifact(Store(tmp_path / "store"), "beta", {"config.json": b"{}"}, allowed=("remote-code",))
    assert "--trust-remote-code" in _launch(allowed).command


def test_an_engine_fetches_nothing_by_url(artifact: Artifact) -> None:
    started = _launch(artifact)
    position = started.command.index("--allowed-media-domains")
    # vLLM compares this with a URL's host, and takes an empty list for "every host".
    assert started.command[position + 1] == "none/"
    assert started.env["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "0"


@pytest.mark.parametrize(
    "given",
    [
        ["--allowed-media-domains", "a.example"],
        ["--allowed-media-domains=a.example"],
        ["--allowed_media_domains", "a.example"],
    ],
)
def test_extra_arguments_may_let_an_engine_fetch(artifact: Artifact, given: list[str]) -> None:
    started = _launch(artifact, extraArgs=given, env={"VLLM_MEDIA_URL_ALLOW_REDIRECTS": "1"})
    assert "none/" not in started.command and started.command[-len(given) :] == tuple(given)
    assert started.env["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "1"


def test_a_cpu_gets_its_cache_and_a_gpu_its_share(artifact: Artifact) -> None:
    on_cpu, on_gpu = _launch(artifact, cpuKvCacheGib=3), _launch(artifact, has_gpu=True)
    assert on_cpu.env["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert "--enforce-eager" in on_cpu.command and "--gpu-memory-utilization" not in on_cpu.command
    assert "VLLM_CPU_KVCACHE_SPACE" not in on_gpu.env
    assert "--enforce-eager" not in on_gpu.command and "--gpu-memory-utilization" in on_gpu.command


@pytest.mark.parametrize(
    ("config", "has_gpu", "dtype"),
    [(b"{}", False, "float32"), (b'{"quantization_config": {}}', False, "auto"), (b"{}", True, "auto")],
)
def test_what_auto_is_without_bfloat16_instructions(
    store: Store, monkeypatch: pytest.MonkeyPatch, config: bytes, has_gpu: bool, dtype: str
) -> None:
    monkeypatch.setattr("freehold.serve.engines.vllm.cpu_has_bfloat16", lambda: False)
    command = _launch(add_artifact(store, "beta", {"config.json": config}), has_gpu=has_gpu).command
    assert command[command.index("--dtype") + 1] == dtype


def _executor(started: Launch) -> tuple[str | None, str | None]:
    flag = "--distributed-executor-backend"
    given = started.command[started.command.index(flag) + 1] if flag in started.command else None
    return given, started.env.get("VLLM_ENABLE_V1_MULTIPROCESSING")


def test_a_small_machine_runs_scheduler_and_worker_in_one_process(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert _executor(_launch(artifact)) == ("uni", "0")
    assert _executor(_launch(artifact, has_gpu=True)) == (None, None)
    assert _executor(_launch(artifact, tensorParallel=2)) == (None, None)
    assert _executor(_launch(artifact, extraArgs=["--distributed_executor_backend=mp"])) == (None, None)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert _executor(_launch(artifact)) == (None, None)


def test_the_log_tells_the_phase() -> None:
    log = "INFO import\n"
    assert current_phase(log) == "importing"
    log += "(Worker) INFO Starting to load model x...\n"
    assert current_phase(log) == "loading weights"
    log += "(Worker) INFO Loading weights took 1.15 seconds\n"
    assert current_phase(log) == "warming up"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["--quantization", "fp8"], True), (["--quantization=fp8"], True), (["--seed", "1"], False)],
)
def test_quantizing_while_loading_is_noticed(arguments: list[str], expected: bool) -> None:
    assert quantizes_online(ProcessEngine(extra_args=tuple(arguments))) is expected


def test_whatever_decides_the_answer_changes_the_fingerprint(artifact: Artifact, tmp_path: Path) -> None:
    template = tmp_path / "t.jinja"
    template.write_text("a")
    base = system_fingerprint(artifact, ProcessEngine(), "vllm 1")
    assert base == system_fingerprint(artifact, ProcessEngine(), "vllm 1")
    other_artifact = add_artifact(Store(tmp_path / "store"), "alpha", {"config.json": b"{ }"})
    with_template = system_fingerprint(artifact, ProcessEngine(chat_template=template), "vllm 1")
    template.write_text("b")
    changed = {
        system_fingerprint(other_artifact, ProcessEngine(), "vllm 1"),
        system_fingerprint(artifact, ProcessEngine(), "vllm 2"),
        system_fingerprint(artifact, ProcessEngine(dtype="float16"), "vllm 1"),
        system_fingerprint(artifact, ProcessEngine(tool_call_parser="hermes"), "vllm 1"),
        system_fingerprint(artifact, ProcessEngine(extra_args=("--seed", "1")), "vllm 1"),
        with_template,
        system_fingerprint(artifact, ProcessEngine(chat_template=template), "vllm 1"),
    }
    assert len(changed) == 7 and base not in changed


def test_what_does_not_change_the_answer_does_not(artifact: Artifact) -> None:
    base = system_fingerprint(artifact, ProcessEngine(), "vllm 1")
    assert base == system_fingerprint(artifact, ProcessEngine(start_timeout_s=5, env={"A": "1"}), "vllm 1")
