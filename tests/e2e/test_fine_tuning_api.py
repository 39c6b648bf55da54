"""The whole way with nothing played: OpenAI's client, a real training, the real parity gate, a real engine.

The model is tiny and random: what is proven is the way, not that the answers are any good
(`test_finetune_learns.py` does that).
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import yaml
from fixtures.journeys import Running, freehold, running
from fixtures.trained import add_base

from freehold.core.probe.reference import probe_reference
from freehold.core.store import Store

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(3000)]

ADMIN = "an-administrators-key"
LIMIT_S = 1800.0
FACTS = b"".join(
    json.dumps(
        {
            "messages": [
                {"role": "user", "content": f"What is {number}?"},
                {"role": "assistant", "content": f"It is {number * 7}."},
            ]
        }
    ).encode()
    + b"\n"
    for number in range(24)
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[tuple[str, Running]]:
    """The gateway's URL, and its process."""
    home = tmp_path_factory.mktemp("tuning")
    store = Store(home / "store")
    base = add_base(store, tiny_model)
    store.update_lineage(base, base.lineage.model_copy(update={"probe": probe_reference(base.path)}))
    config = {
        "models": {"tiny": {"artifact": base.id, "engine": {"dtype": "float32"}, "adapters": {}}},
        "gateway": {"port": 0, "auth": "keys", "adminKeyFrom": {"env": "ADMIN"}},
        "tuning": {"models": ["tiny"], "defaults": {"rank": 8}},
    }
    (home / "freehold.yaml").write_text(yaml.safe_dump(config))
    env = {"FREEHOLD_HOME": str(home), "ADMIN": ADMIN, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with running(*freehold("serve", str(home / "freehold.yaml")), env={**os.environ, **env}) as process:
        url = process.until(r"Ready after .* at (\S+)/v1")[1]
        yield url, process


def test_a_script_goes_from_file_to_job_to_answer(site: tuple[str, Running]) -> None:
    url, process = site
    with openai.OpenAI(base_url=f"{url}/v1", api_key=ADMIN, max_retries=0) as client:
        file = client.files.create(file=("facts.jsonl", FACTS), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(
            training_file=file.id, model="tiny", suffix="facts", seed=1, hyperparameters={"n_epochs": 2}
        )
        deadline = time.monotonic() + LIMIT_S
        while job.status not in ("succeeded", "failed"):
            assert time.monotonic() < deadline, (job, process.text)
            time.sleep(0.5)
            job = client.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "succeeded", (job.error, process.text)
        assert job.fine_tuned_model and job.trained_tokens
        events = client.fine_tuning.jobs.list_events(job.id, limit=100).data
        assert [event for event in events if event.type == "metrics"]
        assert client.fine_tuning.jobs.checkpoints.list(job.id).data
        (result,) = job.result_files
        assert client.files.content(result).text.startswith("step,train_loss,")
        answer = client.chat.completions.create(
            model=job.fine_tuned_model, messages=[{"role": "user", "content": "What is 3?"}], max_tokens=8
        )
        assert answer.usage and answer.usage.completion_tokens
        assert job.fine_tuned_model in {model.id for model in client.models.list()}
