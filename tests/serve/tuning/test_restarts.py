"""Jobs outlive the gateway: killed in the middle of one, the next gateway finishes it from its last checkpoint."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import openai
import psutil
import pytest
from fixtures import tuning_replica
from fixtures.journeys import Running, all_gone, running
from fixtures.tuning_house import GOOD
from openai.types.fine_tuning import FineTuningJob

from freehold.core.settings import load_settings

pytestmark = pytest.mark.slow

LIMIT_S = 90.0


def client_of(replica: Running) -> openai.OpenAI:
    found = replica.until(r"Ready at (\S+) for (\S+)", LIMIT_S)
    return openai.OpenAI(base_url=f"{found[1]}/v1", api_key=found[2], max_retries=0)


def wait_for(client: openai.OpenAI, job: str, *statuses: str) -> FineTuningJob:
    deadline = time.monotonic() + LIMIT_S
    while (found := client.fine_tuning.jobs.retrieve(job)).status not in statuses:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def test_a_killed_gateway_loses_no_job(tmp_path: Path) -> None:
    command = (sys.executable, tuning_replica.__file__, f"sqlite:///{tmp_path / 'gateway.db'}")
    control = load_settings().home / "stub"
    control.mkdir(parents=True)
    (control / "hold").touch()
    with running(*command, env={}) as first:
        with client_of(first) as client:
            file = client.files.create(file=("train.jsonl", GOOD), purpose="fine-tune").id
            jobs = [client.fine_tuning.jobs.create(training_file=file, model="tiny").id for _ in range(2)]
            wait_for(client, jobs[0], "running")
            wait_for(client, jobs[1], "queued")
            deadline = time.monotonic() + LIMIT_S
            while not client.fine_tuning.jobs.checkpoints.list(jobs[0]).data:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        children = first.descendants()
        (child,) = _training(control)
        assert psutil.pid_exists(child)
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        assert all_gone(children), "what the gateway had started goes on without it"
    (control / "hold").unlink()
    with running(*command, env={}) as second, client_of(second) as client:
        done = [wait_for(client, job, "succeeded", "failed") for job in jobs]
        assert [job.status for job in done] == ["succeeded", "succeeded"], [job.error for job in done]
        events = client.fine_tuning.jobs.list_events(jobs[0], limit=100).data
        answer = client.chat.completions.create(
            model=done[0].fine_tuned_model or "", messages=[{"role": "user", "content": "What is 3?"}]
        )
    assert answer.choices[0].message.content
    steps = [event.data["step"] for event in reversed(events) if event.type == "metrics"]  # type: ignore[index]
    assert set(steps) == {1, 2, 3, 4, 5, 6} and steps.count(1) == 1, "steps from before are not told twice"
    starts = sorted(json.loads(path.read_text())["from"] for path in control.glob("started-*"))
    assert starts == [0, 0, 2], "the job that was cut short went on from its checkpoint"


def _training(control: Path) -> list[int]:
    return [int(path.name.partition("-")[2]) for path in control.glob("started-*")]
