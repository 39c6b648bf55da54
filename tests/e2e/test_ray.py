"""Models on a Ray cluster of two nodes, all of it real: a node is killed, a model sleeps and wakes."""

import re
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import yaml
from fixtures.journeys import Running, freehold, running
from fixtures.ray_cluster import SLOT, TwoNodes, two_nodes
from fixtures.trained import add_adapter, add_base

from freehold.core.gates import Verdict, record_verdict
from freehold.core.probe.reference import probe_reference
from freehold.core.store import Store

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(3000)]

LIMIT_S = 900.0
"""A busy machine takes minutes for what is a minute's work."""
PAUSE_S = 0.2
"""Between a client's requests: the machine has engines to start meanwhile."""
SMALL = {"kind": "ray", "dtype": "float32", "maxModelLen": 128, "maxLoraRank": 8, "resources": {SLOT: 1}}
FEW_BLOCKS = {"extraArgs": ["--num-gpu-blocks-override", "64"]}
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "one"}], "max_tokens": 64, "ignore_eos": True}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[TwoNodes]:
    folder = tmp_path_factory.mktemp("ray")
    store, scratch = Store(folder / "head" / "store"), tmp_path_factory.mktemp("scratch")
    torch.set_num_threads(1)  # two that wait for each other take minutes on a busy machine
    base = add_base(store, tiny_model)
    store.update_lineage(base, base.lineage.model_copy(update={"probe": probe_reference(base.path)}))
    support = add_adapter(store, base, "support", scratch)
    record_verdict(store, Verdict(gate="parity", artifact=support.id, passed=True))
    with two_nodes(folder) as found:
        yield found


def _config(nodes: TwoNodes, name: str, **model: Any) -> Path:
    path = nodes.home / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"models": {"tiny": {"artifact": "tiny", **model}}, "gateway": {"port": 0}}))
    return path


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.2)


@dataclass
class Load:
    """Clients that ask again and again, half of them for streams; each answer is judged by its end."""

    url: str
    whole: int = 0
    refused: list[str] = field(default_factory=list)
    """Codes of proper errors."""
    wrong: list[str] = field(default_factory=list)
    """Anything else: a client could not tell what became of its request."""
    _is_over: threading.Event = field(default_factory=threading.Event)

    def run(self, clients: int) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._ask, args=(number % 2 == 1,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        return threads

    def end(self, threads: list[threading.Thread]) -> None:
        self._is_over.set()
        for thread in threads:
            thread.join()

    def _ask(self, streams: bool) -> None:
        with httpx.Client(timeout=120, trust_env=False) as client:
            while not self._is_over.is_set():
                try:
                    answer = client.post(f"{self.url}/v1/chat/completions", json={**CHAT, "stream": streams})
                    self._judge(answer, streams)
                except httpx.HTTPError as error:  # a stream that was lost breaks its connection: that is an honest end
                    (self.refused if streams else self.wrong).append(type(error).__name__)
                self._is_over.wait(PAUSE_S)

    def _judge(self, answer: httpx.Response, streams: bool) -> None:
        if answer.status_code == 200:
            if streams and not answer.text.rstrip().endswith("[DONE]"):
                self.wrong.append(answer.text[-300:])
            self.whole += 1
        else:
            code = answer.json()["error"]["code"]
            self.refused.append(code) if code in ("engine_lost", "model_not_ready") else self.wrong.append(answer.text)


def _served(url: str) -> float:
    """Requests that one replica has answered, by its own count."""
    with urllib.request.urlopen(f"{url}/metrics") as reply:
        lines = reply.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("vllm:request_success_total"))


def _replicas(serving: Running) -> list[str]:
    return re.findall(r"replica at (\S+) may begin", serving.text)


def test_a_killed_node_costs_no_client_more_than_a_clean_error_and_its_capacity_returns(nodes: TwoNodes) -> None:
    config = _config(
        nodes,
        "two",
        engine={**SMALL, **FEW_BLOCKS, "replicas": 2},
        adapters={"support": {"artifact": "support"}},
    )
    with running(*freehold("serve", str(config)), env={"FREEHOLD_HOME": str(nodes.home)}) as serving:
        url = serving.until(r"Ready after .* at (\S+)/v1", LIMIT_S)[1]
        _until(lambda: len(_replicas(serving)) == 2)
        assert serving.text.count("golden probe: ") == 2, "each replica is proven for itself"
        nodes.see()
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
            answers = {
                name: client.post("/v1/chat/completions", json={**CHAT, "model": name, "temperature": 0})
                for name in ("tiny", "support")
            }
            assert [answer.status_code for answer in answers.values()] == [200, 200], answers["support"].text
            told = {name: answer.json() for name, answer in answers.items()}
            assert told["tiny"]["system_fingerprint"].startswith("fh-")
            texts = [answer["choices"][0]["message"]["content"] for answer in told.values()]
            assert texts[0] != texts[1], "the adapter acts"
        load = Load(url)
        threads = load.run(clients=8)
        try:
            first, second = _replicas(serving)
            _until(lambda: _served(first) > 5 and _served(second) > 5)
            nodes.kill_worker()
            asked = load.whole
            _until(lambda: load.whole > asked + 20)
            nodes.join()
            _until(lambda: len(_replicas(serving)) == 3)
            third = _replicas(serving)[-1]
            _until(lambda: _served(third) > 5)
        finally:
            load.end(threads)
        assert load.wrong == []
        assert len(load.refused) <= 8, "at most what was on the node at that moment"
        assert serving.text.count("golden probe: ") == 3
        nodes.see()
        serving.process.send_signal(signal.SIGTERM)
        serving.until(r"Stopped", LIMIT_S)
        assert serving.process.wait(60) == 0
    assert nodes.models() == {}


def test_a_model_sleeps_wakes_for_a_request_that_is_held_and_sleeps_again(nodes: TwoNodes) -> None:
    scaling = {"min": 0, "max": 1, "downAfterS": 3}
    config = _config(nodes, "sleeping", engine={**SMALL, **FEW_BLOCKS, "autoscaling": scaling})
    with running(*freehold("serve", str(config)), env={"FREEHOLD_HOME": str(nodes.home)}) as serving:
        url = serving.until(r"Ready after .* at (\S+)/v1", LIMIT_S)[1]
        with httpx.Client(base_url=url, timeout=LIMIT_S, trust_env=False) as client:
            for wakes in (1, 2):
                _until(lambda: not sum(nodes.models()["tiny"]["replicas"].values()))
                assert client.get("/ready").status_code == 200, "asleep is not away"
                assert len(_replicas(serving)) == wakes
                if wakes == 1:
                    answer = client.post("/v1/chat/completions", json=CHAT)
                    assert answer.status_code == 200, answer.text
                    assert answer.json()["usage"]["completion_tokens"] == CHAT["max_tokens"]
                    nodes.see()
        assert serving.text.count("golden probe: ") == 2, "what was woken was proven before it answered"
