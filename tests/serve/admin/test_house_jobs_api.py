"""Pulls, quantizations and evaluations over HTTP: real children, their log and progress, cancelled and resumed."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures import stub_job
from fixtures.console import ADMIN_KEY, House, browser_of, house

from freehold.core.errors import NotFoundError, RefusedError, UserError
from freehold.core.settings import Settings
from freehold.serve.jobs import folder
from freehold.serve.jobs.desk import JobDesk
from freehold.serve.jobs.folder import OVER, JobFolder, JobRecord, told
from freehold.serve.jobs.kinds import Evaluate, Pull

pytestmark = pytest.mark.slow

API = "/admin/v1/jobs"


def program(*words: str) -> tuple[str, ...]:
    """A child that says how far it is, waits while it is held, and fails where it is told to."""
    return (sys.executable, stub_job.__file__, *words)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[JobDesk]:
    environ = {"FREEHOLD_EVALUATION_KEY": "k", "GATEWAY_SECRET": "s"}
    made = JobDesk(Settings(home=tmp_path, hub_token="t"), environ, program=program)
    yield made
    await made.close()


async def until(desk: JobDesk, job_id: str, *states: str) -> JobRecord:
    for _ in range(1200):
        job = desk.get(job_id)
        if (job.state in states and job_id not in desk._running) or (job.state in states and job.state not in OVER):
            return job
        await asyncio.sleep(0.05)
    raise AssertionError(f"{job_id} is {desk.get(job_id).state}: {desk.said(job_id)}")


async def test_a_pull_tells_how_far_it_is_and_gets_its_token_alone(desk: JobDesk, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    job = await desk.start(Pull(kind="pull", model="someone/model@main"), "env")
    await until(desk, job.id, "running")
    while "1.0 MiB" not in desk.said(job.id):
        await asyncio.sleep(0.05)
    assert told(desk.said(job.id)).share == 0.25
    with pytest.raises(UserError, match="goes on"):
        await desk.resume(job.id, "env")
    with pytest.raises(UserError, match="goes on"):  # in another process
        await JobDesk(desk.settings, {}, program=program).resume(job.id, "env")
    (tmp_path / "hold").unlink()
    done = await until(desk, job.id, *OVER)
    assert (done.state, done.status, done.attempts) == ("succeeded", 0, 1)
    seen = (tmp_path / "seen").read_text()
    assert seen.startswith("pull someone/model@main --lock-file")
    assert "HF_TOKEN" in seen and "GATEWAY_SECRET" not in seen and "FREEHOLD_EVALUATION_KEY" not in seen


async def test_what_fails_says_why_and_is_started_again(desk: JobDesk, tmp_path: Path) -> None:
    (tmp_path / "fail").touch()
    job = await desk.start(Pull(kind="pull", model="m"), "env")
    failed = await until(desk, job.id, *OVER)
    assert (failed.state, failed.status, failed.error) == ("failed", 7, "the disk is full: 1 byte is free")
    (tmp_path / "fail").unlink()
    await desk.resume(job.id, "somebody")
    done = await until(desk, job.id, "succeeded")
    assert (done.attempts, done.actor, done.error) == (2, "somebody", "")


async def test_what_runs_is_cancelled_and_what_waits_too(desk: JobDesk, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    jobs = [await desk.start(Pull(kind="pull", model=f"m{number}"), "env") for number in range(3)]
    await until(desk, jobs[0].id, "running")
    assert desk.get(jobs[2].id).state == "queued"
    for job in (jobs[2], jobs[0]):
        await desk.cancel(job.id)
        assert (await until(desk, job.id, *OVER)).state == "cancelled"
    assert desk.get(jobs[1].id).state == "running"
    with pytest.raises(UserError, match="is over"):
        await desk.cancel(jobs[0].id)


async def test_what_its_gateway_left_was_interrupted_and_goes_on(desk: JobDesk, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    job = await desk.start(Pull(kind="pull", model="m"), "env")
    await until(desk, job.id, "running")
    await desk.close()
    assert desk.get(job.id).state == "interrupted"
    state = tmp_path / "jobs" / job.id / "job.json"  # as after kill -9, when nobody could write
    state.write_text(state.read_text().replace('"interrupted"', '"running"'))
    later = JobDesk(desk.settings, {}, program=program)
    assert later.get(job.id).state == "interrupted"
    (tmp_path / "hold").unlink()
    await later.resume(job.id, "env")
    assert (await until(later, job.id, *OVER)).state == "succeeded"
    await later.close()


def test_a_job_that_ends_between_two_looks_was_not_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = JobFolder(tmp_path / "job_1")
    record = JobRecord("job_1", Pull(kind="pull", model="m"), "env", "running", 0.0)
    job.write(record)

    def ends(_: Path) -> bool:
        job.write(replace(record, state="succeeded"))
        return False

    monkeypatch.setattr(folder, "is_held", ends)
    assert job.read().state == "succeeded"


async def test_evaluations_are_of_suites_that_were_put_there(desk: JobDesk, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No suite 'support'"):
        await desk.start(Evaluate(kind="evaluate", suite="support"), "env")
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "support.yaml").write_text("name: support")
    job = await desk.start(Evaluate(kind="evaluate", suite="support"), "env")
    await until(desk, job.id, *OVER)
    seen = (tmp_path / "seen").read_text()
    run = tmp_path / "evaluations" / "runs" / f"support-{job.id}"
    assert f"--out {run}" in seen and "FREEHOLD_EVALUATION_KEY" in seen and "HF_TOKEN" not in seen
    run.mkdir(parents=True)
    (run / "suite.yaml").touch()
    assert ("--resume", str(run)) == job.wanted.words(tmp_path / "jobs" / job.id, desk.settings, again=True)[2:4]


async def test_a_gateway_without_a_store_runs_none(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="runs no jobs"):
        await JobDesk(Settings(home=tmp_path), {}, has_store=False).start(Pull(kind="pull", model="m"), "env")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


@pytest.fixture
async def client(running: House) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_of(running, authorization=f"Bearer {ADMIN_KEY}") as made:
        yield made


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "pull", "model": "--help"},
        {"kind": "pull", "model": "./secrets"},
        {"kind": "pull", "model": "/etc"},
        {"kind": "pull", "model": "~/x"},
        {"kind": "pull", "model": "a/../../b"},
        {"kind": "pull", "model": "m", "name": "-x"},
        {"kind": "quantize", "artifact": "--list"},
        {"kind": "quantize", "artifact": "a", "method": "../x"},
        {"kind": "evaluate", "suite": "../../x"},
        {"kind": "shell", "command": "id"},
        {"kind": "pull", "model": "m", "allow_pickle": True},
    ],
)
async def test_words_for_a_command_cannot_be_smuggled_in(
    running: House, client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    assert (await client.post(API, json=body)).status_code == 400
    assert not (running.home / "jobs").exists()


async def test_the_real_command_is_run_audited_and_refused_to_viewers(
    running: House, client: httpx.AsyncClient
) -> None:
    started = await client.post(API, json={"kind": "pull", "model": "no-such-model"})
    assert started.status_code == 201, started.text
    job_id = started.json()["id"]
    for _ in range(1200):
        job = (await client.get(f"{API}/{job_id}")).json()
        if job["state"] in OVER:
            break
        await asyncio.sleep(0.05)
    assert job["state"] == "failed" and "No model 'no-such-model' in the catalogue" in job["error"]
    assert "no-such-model" in job["log"]
    assert [each["id"] for each in (await client.get(API, params={"kind": "pull"})).json()["data"]] == [job_id]
    async with browser_of(running, authorization=f"Bearer {running.key('viewer')}") as viewer:
        assert (await viewer.get(f"{API}/{job_id}")).status_code == 200
        for path in ("", f"/{job_id}/cancel", f"/{job_id}/resume"):
            refused = await viewer.post(API + path, json={"kind": "pull", "model": "m"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "role_too_low")
    assert (await client.get(f"{API}/job_0123456789abcdef")).status_code == 404
    assert (await client.get(f"{API}/..%2F..")).status_code == 404
    acts = [json.loads(line) for line in (running.home / "audit" / "audit.jsonl").read_text().splitlines()]
    assert [(act["act"], act["target"], act["outcome"]) for act in acts] == [("jobs.start", "no-such-model", "done")]
