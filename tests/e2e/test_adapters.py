"""Adapters in a real vLLM, behind a gateway of two workers: trained, served by name, swapped, and back after a kill."""

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from fixtures.journeys import Running, all_gone, freehold, running
from fixtures.models import add_artifact, read_files
from fixtures.trained import Recipe, add_adapter, add_base, rename

from freehold.core.adapters.reference import ParityPrompt, read_parity
from freehold.core.gates import Verdict, record_verdict
from freehold.core.probe.reference import probe_reference
from freehold.core.store import Artifact, Store

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

ADMIN = "an-administrators-key"
STATIC = "ft:tiny:acme:support:job-1"
LIMIT_S = 240.0


def _judged(store: Store, adapter: Artifact) -> Artifact:
    """As if the parity gate had let it pass."""
    record_verdict(store, Verdict(gate="parity", artifact=adapter.id, passed=True))
    return adapter


@dataclass
class Site:
    """What is served, and by what."""

    url: str
    process: Running
    home: Path
    base: Artifact
    support: Artifact
    other: Artifact
    silent: Artifact
    dora: Artifact
    stranger: Artifact

    def client(self, key: str = ADMIN) -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=120, trust_env=False)

    def freehold(self, *arguments: str) -> tuple[int, str]:
        """A command beside the gateway: its status, and what it printed."""
        command = freehold(*arguments, "--config", str(self.home / "freehold.yaml"))
        with running(*command, env={"FREEHOLD_HOME": str(self.home), "ADMIN": ADMIN}) as ran:
            status = ran.process.wait(LIMIT_S)
        return status, ran.text  # whole, now that its reader has ended


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("adapters")
    store, scratch = Store(home / "store"), tmp_path_factory.mktemp("scratch")
    base = add_base(store, tiny_model)
    store.update_lineage(base, base.lineage.model_copy(update={"probe": probe_reference(base.path)}))
    beside = add_artifact(store, "beside", {**read_files(tiny_model), "extra.txt": b"another"})
    support = _judged(store, add_adapter(store, base, "support", scratch))
    other = _judged(store, add_adapter(store, base, "other", scratch, Recipe(rank=4)))
    wrong = Recipe(break_files=rename("base_model.model.model.", "base_model.model.transformer."))
    silent = _judged(store, add_adapter(store, base, "silent", scratch, wrong))
    files = read_files(support.path)
    config = json.loads(files["adapter_config.json"])
    files["adapter_config.json"] = json.dumps(config | {"use_dora": True}).encode()
    dora = _judged(store, add_artifact(store, "dora", files, kind="adapter", parents=(base.id,)))
    stranger = _judged(store, add_adapter(store, beside, "stranger", scratch))
    engine = {"dtype": "float32", "maxLoraRank": 8, "restart": {"backoffS": 0.1}}
    models = {"tiny": {"artifact": base.id, "engine": engine, "adapters": {STATIC: {"artifact": support.id}}}}
    gateway = {"port": 0, "workers": 2, "auth": "keys", "adminKeyFrom": {"env": "ADMIN"}}
    (home / "freehold.yaml").write_text(yaml.safe_dump({"models": models, "gateway": gateway}))
    env = {"FREEHOLD_HOME": str(home), "ADMIN": ADMIN}
    with running(*freehold("serve", str(home / "freehold.yaml")), env=env) as process:
        url = process.until(r"Ready after .* at (\S+)/v1")[1]
        yield Site(url, process, home, base, support, other, silent, dora, stranger)


def _key(site: Site, *models: str) -> str:
    with site.client() as admin:
        made = admin.post("/admin/v1/keys", json={"name": "test", "models": models})
        assert made.status_code == 201, made.text
        key: str = made.json()["key"]
        return key


def _ask(client: httpx.Client, model: str, prompt: ParityPrompt) -> httpx.Response:
    body = {"model": model, "messages": list(prompt.messages or ()), "temperature": 0}
    body |= {"max_tokens": len(prompt.positions), "return_token_ids": True}
    return client.post("/v1/chat/completions", json=body)


def _answers(client: httpx.Client, model: str, prompts: tuple[ParityPrompt, ...]) -> list[tuple[int, ...]]:
    answers = [_ask(client, model, prompt) for prompt in prompts]
    assert [answer.status_code for answer in answers] == [200] * len(prompts), [answer.text for answer in answers]
    return [tuple(answer.json()["choices"][0]["token_ids"]) for answer in answers]


def _prompts(adapter: Artifact) -> tuple[ParityPrompt, ...]:
    reference = read_parity(adapter.path)
    assert reference is not None
    return reference.prompts


def _expected(adapter: Artifact) -> list[tuple[int, ...]]:
    return [prompt.continuation for prompt in _prompts(adapter)]


def test_an_adapter_of_the_config_answers_by_its_name_with_its_own_scope_usage_and_fingerprint(site: Site) -> None:
    with site.client(_key(site, STATIC)) as client:
        listed = client.get("/v1/models").json()["data"]
        assert [(one["id"], one["parent"], one["root"]) for one in listed] == [(STATIC, "tiny", site.support.id)]
        for _ in range(4):  # connections land on one worker or the other
            with site.client(client.headers["authorization"].removeprefix("Bearer ")) as another:
                assert _answers(another, STATIC, _prompts(site.support)) == _expected(site.support)
        refused = _ask(client, "tiny", _prompts(site.support)[0])
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
        told = _ask(client, STATIC, _prompts(site.support)[0])
    with site.client() as admin:
        base = _ask(admin, "tiny", _prompts(site.support)[0])
        assert base.json()["choices"][0]["token_ids"] != told.json()["choices"][0]["token_ids"]
        assert base.headers["x-freehold-fingerprint"] == base.json()["system_fingerprint"]
        assert told.headers["x-freehold-fingerprint"] != base.headers["x-freehold-fingerprint"]
        assert told.json()["model"] == f"{STATIC}@{site.support.lineage.digest[:12]}"
        for path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter"):
            assert admin.post(path, json={"lora_name": "x", "lora_path": "/"}).status_code == 404
        rows: list[dict[str, Any]] = []
        while not any(row["model"] == STATIC and row["requests"] >= 25 for row in rows):
            rows = admin.get("/admin/v1/usage", params={"by": "model"}).json()["data"]


def test_base_and_adapter_answer_for_themselves_in_one_batch(site: Site) -> None:
    """On a CPU by vLLM's own arithmetic they do not, and scored prompts among them end the engine."""
    prompts = _prompts(site.support)
    with site.client() as admin:
        alone = _answers(admin, "tiny", prompts)
        asked = [(model, number) for model in ("tiny", STATIC) for number in range(len(prompts))] * 3

        def ask(job: tuple[str, int]) -> tuple[int, ...]:
            model, number = job
            return _answers(admin, model, (prompts[number],))[0]

        def score(number: int) -> int:
            ids = list(prompts[number % len(prompts)].prompt_token_ids)
            body = {"model": ("tiny", STATIC)[number % 2], "prompt": ids, "max_tokens": 1, "prompt_logprobs": 1}
            return admin.post("/v1/completions", json=body).status_code

        with ThreadPoolExecutor(8) as pool:
            scores = pool.map(score, range(24))
            answers = list(pool.map(ask, asked))
            assert set(scores) == {200}
    expected = {"tiny": alone, STATIC: _expected(site.support)}
    assert answers == [expected[model][number] for model, number in asked]
    assert "died" not in site.process.text


def test_a_command_loads_swaps_and_unloads_while_requests_run(site: Site) -> None:
    status, text = site.freehold("adapters", "load", "support", site.other.id)
    assert (status, "ready" in text) == (0, True), text
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        with site.client() as client:
            while not stop.is_set():
                statuses.append(_ask(client, "support", _prompts(site.other)[0]).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        status, text = site.freehold("adapters", "load", "support", site.support.id)
        assert status == 0, text
    finally:
        stop.set()
        asking.join()
    assert set(statuses) == {200}, "nobody noticed the change"
    with site.client() as client:
        assert _answers(client, "support", _prompts(site.support)) == _expected(site.support)
        assert _answers(client, STATIC, _prompts(site.support)) == _expected(site.support)
    status, text = site.freehold("adapters", "unload", "support")
    assert status == 0, text
    with site.client() as client:
        answer = _ask(client, "support", _prompts(site.support)[0])
        while answer.status_code == 200:  # within a second
            answer = _ask(client, "support", _prompts(site.support)[0])
        assert answer.status_code == 404, answer.text


def test_an_adapter_of_which_no_key_matches_fails_with_the_cause_and_hurts_nobody(site: Site) -> None:
    status, text = site.freehold("adapters", "load", "silent", site.silent.id)
    assert status == 9, text
    assert "it changes nothing: its tensors match no module of the model" in text
    with site.client() as admin:
        shown = admin.get("/admin/v1/models/tiny/adapters/silent").json()
        assert (shown["state"], shown["replicas"][0]["serving"]) == ("failed", None)
        assert _ask(admin, "silent", _prompts(site.support)[0]).status_code == 503
        assert admin.get("/ready").status_code == 200
        assert _answers(admin, STATIC, _prompts(site.support)) == _expected(site.support)
        assert admin.delete("/admin/v1/models/tiny/adapters/silent").status_code == 200


def test_what_the_engine_would_refuse_is_refused_before(site: Site) -> None:
    with site.client() as admin:
        for adapter, reason in ((site.dora, "DoRA"), (site.stranger, "it was trained on beside")):
            answer = admin.post("/admin/v1/models/tiny/adapters", json={"name": "refused", "artifact": adapter.id})
            assert answer.status_code == 403, answer.text
            assert reason in answer.text


def test_a_killed_engine_comes_back_with_its_adapters(site: Site) -> None:
    assert site.freehold("adapters", "load", "after", site.other.id)[0] == 0
    engines = [one for one in site.process.descendants() if "vllm.entrypoints" in " ".join(one.cmdline())]
    for engine in engines:
        with suppress(ProcessLookupError):  # the guard is among them, and ends when its engine does
            os.kill(engine.pid, 9)
    psutil.wait_procs(engines, timeout=60)
    site.process.until(r"(?s)adapter after: loaded.*adapter after: loaded")
    with site.client() as client:
        prompts = _prompts(site.other)
        answer = _ask(client, "after", prompts[0])
        while answer.status_code == 503:
            answer = _ask(client, "after", prompts[0])
        assert _answers(client, "after", prompts) == _expected(site.other)
        assert _answers(client, STATIC, _prompts(site.support)) == _expected(site.support)


def test_guard_and_parent_killed_at_once_leave_no_process(site: Site) -> None:
    # The last test on this site: it ends it.
    processes = site.process.descendants()
    guard = next(process for process in processes if "freehold.serve.engines.guard" in process.cmdline())
    site.process.process.kill()
    guard.kill()
    assert all_gone(processes)
