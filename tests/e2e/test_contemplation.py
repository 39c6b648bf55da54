"""Contemplation with everything real: the pulled model several times, the gateway, an unmodified client."""

import http.client
import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from fixtures.journeys import MODEL, Running, freehold, link_model, running

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

QUESTION: Any = [{"role": "user", "content": "What is the capital of France? Answer with its name."}]
CONFIG = {
    "models": {MODEL: {"artifact": MODEL, "engine": {"maxModelLen": 2048}}},
    "routes": {
        "vote": {
            "strategy": "contemplate",
            "contemplate": {
                "agents": {MODEL: 5},
                "mode": "majority",
                "answerPattern": "Paris|London",
                "maxTokens": 120,
            },
        },
        "debate": {
            "strategy": "contemplate",
            "contemplate": {"agents": {MODEL: 2}, "judge": MODEL, "maxTokens": 100},
        },
        "long": {
            "strategy": "contemplate",
            "contemplate": {"agents": {MODEL: 3}, "mode": "majority", "maxTokens": 3000},
        },
    },
    "gateway": {"port": 0},
}


@dataclass
class Served:
    """The gateway's address and its engine's."""

    url: str
    engine: str

    def counters(self) -> tuple[int, int]:
        """Prompt and generated tokens, by the engine's own count."""
        return int(metric(self.engine, "vllm:prompt_tokens_total")), int(
            metric(self.engine, "vllm:generation_tokens_total")
        )

    def until_drafting(self, drafts: int, generated: int) -> None:
        """Wait until so many drafts are being written, and more tokens are generated than there were."""
        deadline = time.monotonic() + 60
        while metric(self.engine, "vllm:num_requests_running") < drafts or self.counters()[1] <= generated:
            assert time.monotonic() < deadline, "the engine has not begun"
            time.sleep(0.05)

    def until_idle(self) -> None:
        deadline = time.monotonic() + 60
        while metric(self.engine, "vllm:num_requests_running") or metric(self.url, "freehold_requests_in_flight"):
            assert time.monotonic() < deadline, "the engine still works"
            time.sleep(0.05)


def metric(url: str, name: str) -> float:
    """The sum over all labels."""
    with urllib.request.urlopen(f"{url}/metrics") as reply:
        text = reply.read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def _engine_url(serving: Running) -> str:
    for process in serving.descendants():
        command = process.cmdline()
        if "vllm.entrypoints.openai.api_server" in command and "--port" in command:
            return f"http://127.0.0.1:{command[command.index('--port') + 1]}"
    pytest.fail("no engine process")


@pytest.fixture(scope="module")
def served(pulled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("contemplation")
    link_model(pulled_home, home)
    config = home / "freehold.yaml"
    config.write_text(json.dumps(CONFIG))
    with running(*freehold("serve", str(config), "--offline"), env={"FREEHOLD_HOME": str(home)}) as serving:
        url = serving.until(r"Gateway on (http://\S+)").group(1)
        serving.until(r"Ready after")
        yield Served(url, _engine_url(serving))


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_most_drafts_know_the_capital(client: openai.OpenAI, served: Served) -> None:
    before = served.counters()
    answer = client.chat.completions.create(
        model="vote", messages=QUESTION, seed=1, extra_body={"include_reasoning": True}
    )
    after = served.counters()
    message: Any = answer.choices[0].message
    assert "Paris" in (message.content or "")
    assert message.reasoning.count("Draft ") >= 5 and "drafts agree" in message.reasoning
    assert answer.system_fingerprint and answer.system_fingerprint.startswith("fh-")
    assert answer.usage is not None and answer.usage.completion_tokens <= 120
    used = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert used == (after[0] - before[0], after[1] - before[1]), "all drafts, by the engine's own count"


def test_a_debate_streams_its_judge(client: openai.OpenAI, served: Served) -> None:
    before = served.counters()
    stream = client.chat.completions.create(
        model="debate",
        messages=QUESTION,
        seed=1,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"include_reasoning": True},
    )
    chunks: list[Any] = list(stream)
    after = served.counters()
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    contents = [delta.content for delta in deltas if delta.content]
    reasoning = "".join(getattr(delta, "reasoning", None) or "" for delta in deltas)
    assert len(contents) > 1, "word by word"
    assert "Draft 2" in reasoning and "Critique 2" in reasoning
    usage = chunks[-1].usage
    assert usage.contemplation == {"parts": 5, "outcome": "merged"}
    assert usage.completion_tokens <= 100
    assert (usage.prompt_tokens, usage.completion_tokens) == (after[0] - before[0], after[1] - before[1])


def test_a_client_that_leaves_stops_every_draft(served: Served) -> None:
    before = metric(served.url, "freehold_completion_tokens_total"), served.counters()[1]
    # The end of an answer is ruled out, so that there is none.
    body = {"model": "long", "messages": QUESTION, "logit_bias": {"2": -100}}
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"))
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    served.until_drafting(3, before[1])
    connection.close()
    served.until_idle()
    generated = served.counters()[1] - before[1]
    assert 0 < generated < 3000
    assert metric(served.url, "freehold_completion_tokens_total") - before[0] == generated, "each token is billed"
    assert metric(served.url, 'freehold_contemplations_total{outcome="client_left",route="long"}') == 1
