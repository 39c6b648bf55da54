"""`freehold batch` against a real `freehold serve` with a real engine, which is killed in the middle.

The model is tiny and random: what is proven is that each line has the answer that a client gets, once.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
import yaml
from fixtures.batch_house import CHAT, sums
from fixtures.journeys import Running, all_gone, freehold, running
from fixtures.trained import add_base

from freehold.core.probe.reference import probe_reference
from freehold.core.store import Store
from freehold.serve.state.database import default_url, open_database

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1500)]

ADMIN = "an-administrators-key"
LINES = 120
ASKED = {"model": "tiny", "max_tokens": 24, "temperature": 0}


def messages(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"What is {number} times {number}?"}]


@contextmanager
def serving(home: Path) -> Iterator[tuple[Running, str]]:
    env = {"FREEHOLD_HOME": str(home), "ADMIN": ADMIN, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with running(*freehold("serve", str(home / "freehold.yaml")), env={**os.environ, **env}) as process:
        yield process, process.until(r"Ready after .* at (\S+)/v1")[1]


def usage(home: Path) -> dict[str, int]:
    database = open_database(default_url(home))
    try:
        return database.call(sums)
    finally:
        database.close()


def test_a_killed_site_answers_each_line_once(tmp_path: Path, tiny_model: Path) -> None:
    home = tmp_path / "home"
    store = Store(home / "store")
    base = add_base(store, tiny_model)
    store.update_lineage(base, base.lineage.model_copy(update={"probe": probe_reference(base.path)}))
    config = {
        "models": {"tiny": {"artifact": base.id, "engine": {"dtype": "float32"}}},
        "gateway": {"port": 0, "auth": "keys", "adminKeyFrom": {"env": "ADMIN"}},
        "batches": {"concurrency": 2},
    }
    (home / "freehold.yaml").write_text(yaml.safe_dump(config))
    source, output = tmp_path / "questions.jsonl", tmp_path / "answers.jsonl"
    lines = [
        {"custom_id": f"q{number}", "method": "POST", "url": CHAT, "body": {**ASKED, "messages": messages(number)}}
        for number in range(LINES)
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with serving(home) as (site, url):
        children = site.descendants()
        command = freehold("batch", str(source), "--output", str(output), "--url", f"{url}/v1")
        with running(*command, env={"FREEHOLD_API_KEY": ADMIN}) as batch:
            batch.until("in_progress", 120)
            deadline = time.monotonic() + 300
            while sum(len(path.read_bytes().splitlines()) for path in (home / "batches").glob("*")) < LINES // 4:
                assert time.monotonic() < deadline, batch.text
                time.sleep(0.05)
            os.kill(site.process.pid, signal.SIGKILL)
        site.process.wait()
        assert all_gone(children)
        port = int(url.rpartition(":")[2])
    config["gateway"] = {**config["gateway"], "port": port}  # type: ignore[dict-item]
    (home / "freehold.yaml").write_text(yaml.safe_dump(config))
    with serving(home) as (_, url):
        ended = subprocess.run(
            [*command, "--resume"], env={**os.environ, "FREEHOLD_API_KEY": ADMIN}, capture_output=True, text=True
        )
        assert (ended.returncode, ended.stdout) == (0, f"{output}\n"), ended.stderr
        assert "Going on with batch_" in ended.stderr
        counted = usage(home)
        with openai.OpenAI(base_url=f"{url}/v1", api_key=ADMIN) as client:
            direct = client.chat.completions.create(messages=messages(7), **ASKED)  # type: ignore[call-overload]
    answers = [json.loads(text) for text in output.read_text().splitlines()]
    assert [answer["custom_id"] for answer in answers] == [f"q{number}" for number in range(LINES)]
    assert answers[7]["response"]["body"]["choices"][0]["message"]["content"] == direct.choices[0].message.content
    used = [answer["response"]["body"]["usage"] for answer in answers]
    assert (counted["requests"], counted["errors"], counted["estimated_tokens"]) == (LINES, 0, 0)
    assert counted["prompt_tokens"] == sum(each["prompt_tokens"] for each in used)
    assert counted["completion_tokens"] == sum(each["completion_tokens"] for each in used)
