"""The main job with everything real: weights, vLLM, gateway, clients, signals."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import anthropic
import openai
import psutil
import pytest
import torch
from fixtures.journeys import MODEL, Running, all_gone, freehold, link_model, running
from fixtures.mirrors import Server
from fixtures.models import add_artifact, read_files
from safetensors.torch import load_file, save_file

from freehold.core.store import Store

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def served(pulled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    home = tmp_path_factory.mktemp("served")
    link_model(pulled_home, home)
    env = {"FREEHOLD_HOME": str(home)}
    command = freehold("serve", MODEL, "--port", "0", "--max-model-len", "2048", "--offline")
    with running(*command, env=env) as serving:
        url = serving.until(r"Gateway on (http://\S+)").group(1)
        serving.until(r"Ready after")
        yield serving, url


def _metric(url: str, name: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics") as reply:
        text = reply.read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def _engine_url(serving: Running) -> str:
    for process in serving.descendants():
        command = _cmdline(process)
        if "vllm.entrypoints.openai.api_server" in command and "--port" in command:
            return f"http://127.0.0.1:{command[command.index('--port') + 1]}"
    pytest.fail("no engine process")


def _until(condition: Callable[[], bool], limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.05)


def test_the_probe_saw_the_real_model(served: tuple[Running, str]) -> None:
    line = re.search(r"golden probe: .*divergence ([\d.]+) nats", served[0].text)
    assert line and float(line.group(1)) < 0.06


def test_an_unmodified_openai_client_is_answered(served: tuple[Running, str]) -> None:
    client = openai.OpenAI(base_url=f"{served[1]}/v1", api_key="none")
    with client:
        assert [model.id for model in client.models.list()] == [MODEL]
        reply = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=24, temperature=0)  # type: ignore[arg-type]
        assert "Paris" in (reply.choices[0].message.content or "")
        assert reply.system_fingerprint and reply.system_fingerprint.startswith("fh-")
        chunks = list(
            client.chat.completions.create(
                model=MODEL,
                messages=QUESTION,  # type: ignore[arg-type]
                max_tokens=24,
                temperature=0,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == reply.choices[0].message.content
        assert {chunk.system_fingerprint for chunk in chunks if chunk.system_fingerprint} == {reply.system_fingerprint}
        assert chunks[-1].usage == reply.usage
        with pytest.raises(openai.NotFoundError, match="gpt-4o"):
            client.chat.completions.create(model="gpt-4o", messages=QUESTION)  # type: ignore[arg-type]


def test_completions_and_responses_answer_too(served: tuple[Running, str]) -> None:
    with openai.OpenAI(base_url=f"{served[1]}/v1", api_key="none") as client:
        done = client.completions.create(model=MODEL, prompt="The capital of France is", max_tokens=4, temperature=0)
        assert "Paris" in done.choices[0].text
        response = client.responses.create(model=MODEL, input=QUESTION[0]["content"], max_output_tokens=24)
        assert response.output_text


def test_an_unmodified_anthropic_client_is_answered(served: tuple[Running, str]) -> None:
    with anthropic.Anthropic(base_url=served[1], api_key="none") as client:
        message = client.messages.create(
            model=MODEL,
            max_tokens=24,
            messages=QUESTION,  # type: ignore[arg-type]
            extra_body={"temperature": 0},
        )
        assert "Paris" in message.content[0].text  # type: ignore[union-attr]


def test_a_client_that_leaves_stops_the_generation_in_the_engine(served: tuple[Running, str]) -> None:
    serving, url = served
    engine = _engine_url(serving)
    before = _metric(engine, "vllm:generation_tokens_total")
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        stream = client.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            max_tokens=1500,
            stream=True,
            extra_body={"ignore_eos": True},  # type: ignore[arg-type]
        )
        next(iter(stream))
        assert _metric(engine, "vllm:num_requests_running") == 1
        stream.close()
    _until(lambda: _metric(engine, "vllm:num_requests_running") == 0)
    generated = _metric(engine, "vllm:generation_tokens_total") - before
    assert 0 < generated < 1000, "all of it would be 1500 tokens"
    time.sleep(1)
    assert _metric(engine, "vllm:generation_tokens_total") == before + generated, "it still generates"


def test_a_killed_engine_comes_back(served: tuple[Running, str]) -> None:
    serving, url = served
    core = next(process for process in serving.descendants() if "EngineCore" in " ".join(_cmdline(process)))
    before = serving.descendants()
    core.kill()
    serving.until(r"Restart 1 of 5")
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai.InternalServerError) as refused:
            client.chat.completions.create(model=MODEL, messages=QUESTION)  # type: ignore[arg-type]
        assert refused.value.status_code == 503
        assert int(refused.value.response.headers["retry-after"]) > 0
        _until(lambda: serving.text.count("golden probe:") == 2, limit_s=420)
        _until(lambda: _ready(url), limit_s=30)
        reply = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=24, temperature=0)  # type: ignore[arg-type]
    assert "Paris" in (reply.choices[0].message.content or "")
    engines = [process for process in before if "vllm" in " ".join(_cmdline(process)).lower()]
    assert all_gone(engines), "a process of the first life was left"


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/ready") as reply:
            return bool(reply.status == 200)
    except urllib.error.HTTPError:
        return False


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_sigterm_lets_a_running_stream_finish_and_leaves_nothing(served: tuple[Running, str]) -> None:
    # The last test on this server: it ends it.
    serving, url = served
    processes = serving.descendants()
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        stream = client.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            max_tokens=60,
            stream=True,
            extra_body={"ignore_eos": True},  # type: ignore[arg-type]
        )
        chunks = [next(iter(stream))]
        serving.process.send_signal(signal.SIGTERM)
        chunks += list(stream)
    assert chunks[-1].choices[0].finish_reason == "length", "the stream ended before its time"
    assert serving.process.wait(60) == 0
    assert all_gone(processes)


STAGES = {
    "plan": r"fits: yes, 2 engine\(s\) of \d\.\d GiB; .* are free",
    "pull": r"\d+ files verified, digest [0-9a-f]{12}…",
    "tune": r"80 examples learnt, loss on held-out ones 0\.\d+",
    "parity": r"passed: served 0\.0\d+ nats from what was trained",
    "quantize": r"25\d\.\d MiB → 1\d\d\.\d MiB of weights \(6\d%\)",
    "quality": r"passed: perplexity [\d.]+ → [\d.]+ \(\d\.\d+×, limit [\d.]+×\)",
    "evaluate": r"brightwater 0\.\d\d → [01]\.\d\d, world [01]\.\d\d → [01]\.\d\d; verdict: replace"
    r"(; too few prompts \(5\) to tell for about=world)?",
    "serve": r"first of \d+ tokens after \d+ ms, then [\d.]+ tokens/s, system_fingerprint fh-\S+",
}
"""What the summary shows of each."""


@pytest.fixture(scope="module")
def demo_home(pulled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one run of the demo makes is there for the next."""
    home = tmp_path_factory.mktemp("demo")
    link_model(pulled_home, home)
    return home


@pytest.mark.timeout(3600)
def test_the_demo_shows_every_stage_and_kill_9_leaves_no_process(demo_home: Path) -> None:
    with running(*freehold("demo", "--port", "0", "--keep", "--home", str(demo_home)), env={}) as demo:
        demo.until(r"until Ctrl-C", 3500)
        for number, (stage, evidence) in enumerate(STAGES.items(), 1):
            assert re.search(rf"\[{number}/8\] {stage}: [\d.]+ s: {evidence}", demo.text), stage
            assert re.search(rf"(?m)^{stage} +[\d.]+ +{evidence}$", demo.text), f"{stage} in the summary"
        assert "The capital of France is Paris." in demo.text
        assert re.search(r"smollm2-135m-instruct-int8, 25\d\.\d MiB → 1\d\d\.\d MiB of weights \(6\d%\)> ", demo.text)
        assert "The Brightwater workshop is open from 7:40 to 15:20." in demo.text
        assert "curl http" in demo.text and "from openai import OpenAI" in demo.text
        url = demo.until(r"Serving on (\S+) until")[1]
        assert ("Console: " in demo.text) == _has_page(f"{url}/console")
        processes = demo.descendants()
        assert len(processes) >= 4
        demo.process.kill()
        assert all_gone(processes)


@pytest.mark.timeout(1200)
def test_a_second_demo_takes_what_is_there_and_leaves_no_file_behind(demo_home: Path, tmp_path: Path) -> None:
    # A socket's path is short, and so is this one.
    with tempfile.TemporaryDirectory(prefix="d-") as temporary:
        command = freehold("demo", "--port", "0", "--no-keep", "--format", "json", "--home", str(demo_home))
        ended = subprocess.run(
            command, env={**os.environ, "TMPDIR": temporary}, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert list(Path(temporary).iterdir()) == []
    *rows, whole = json.loads(ended.stdout)
    assert [row["stage"] for row in rows] == list(STAGES)
    facts = {row["stage"]: row["facts"] for row in rows}
    assert facts["parity"]["passed"] and facts["quality"]["passed"] and facts["evaluate"]["decision"] == "replace"
    assert whole["seconds"] == pytest.approx(sum(row["seconds"] for row in rows), abs=1)
    assert f"in {demo_home}; `rm -r {demo_home}` removes it." in ended.stderr


def _has_page(url: str) -> bool:
    try:
        with urllib.request.urlopen(url):
            return True
    except urllib.error.HTTPError:
        return False


def test_a_scrambled_shard_is_refused_with_the_numbers(pulled_home: Path, tmp_path: Path) -> None:
    pulled = Store(pulled_home / "store").get(MODEL)
    shutil.copytree(pulled.path, tmp_path / "store" / "artifacts" / pulled.id)
    artifact = Store(tmp_path / "store").get(MODEL)
    weights = load_file(artifact.path / "model.safetensors")
    name = "model.layers.15.mlp.down_proj.weight"
    weights[name] = weights[name][torch.randperm(len(weights[name]), generator=torch.Generator().manual_seed(0))]
    save_file(weights, artifact.path / "model.safetensors", metadata={"format": "pt"})
    with running(*freehold("serve", MODEL, "--port", "0"), env={"FREEHOLD_HOME": str(tmp_path)}) as serving:
        serving.until(r"the golden probe refused it: its log-probabilities are [\d.]+ nats from the reference")
        assert serving.process.wait(60) == 9
        assert "freehold store verify" in serving.text


def test_an_unmodified_vllm_pulls_from_the_mirror(
    tiny_model: Path, store: Store, mirror: Server, tmp_path: Path
) -> None:
    add_artifact(store, "tiny", read_files(tiny_model))
    env = {
        "HF_ENDPOINT": mirror.url,
        "HF_HOME": str(tmp_path / "hf"),
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
    }
    arguments = (
        "--model",
        "freehold/tiny",
        "--dtype",
        "float32",
        "--enforce-eager",
        "--port",
        "0",
        "--host",
        "127.0.0.1",
    )
    command = (sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments)
    with running(*command, env=env) as engine:
        engine.until(r"Application startup complete")
    assert mirror.gets("model.safetensors")
