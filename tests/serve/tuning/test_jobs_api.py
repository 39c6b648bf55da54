"""An unmodified OpenAI client goes from a file to a job to an answer of the tuned model.

The commands that jobs run are `tests/fixtures/stub_finetune.py`, which trains nothing.
"""

import asyncio
import json

import openai
import pytest
from fixtures.tuning_house import GOOD, PAIRS, TuningHouse, ended, until

pytestmark = pytest.mark.slow


async def upload(client: openai.AsyncOpenAI, content: bytes = GOOD, name: str = "train.jsonl") -> str:
    return (await client.files.create(file=(name, content), purpose="fine-tune")).id


async def test_a_script_goes_from_file_to_job_to_answer(house: TuningHouse) -> None:
    await house.start()
    client = await house.client(team="acme", models=["tiny"])
    file = await client.files.create(file=("facts.jsonl", GOOD), purpose="fine-tune")
    assert (file.filename, file.bytes, file.status) == ("facts.jsonl", len(GOOD), "processed")
    assert (await client.files.wait_for_processing(file.id)).id == file.id

    job = await client.fine_tuning.jobs.create(
        training_file=file.id,
        model="tiny",
        suffix="facts",
        seed=7,
        metadata={"ticket": "42"},
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
    )
    assert (job.status, job.seed, job.fine_tuned_model) == ("validating_files", 7, None)
    assert (job.hyperparameters.n_epochs, job.hyperparameters.batch_size) == (2, "auto")
    done = await ended(client, job.id)
    assert done.status == "succeeded", done.error
    assert done.fine_tuned_model == f"ft:tiny:acme:facts:{job.id[-8:]}"
    assert (done.trained_tokens, done.finished_at >= done.created_at) == (900, True)

    answer = await client.chat.completions.create(
        model=done.fine_tuned_model, messages=[{"role": "user", "content": "What is 3?"}]
    )
    assert answer.choices[0].message.content == "aaa"
    assert done.fine_tuned_model in {model.id async for model in client.models.list()}

    events = [event async for event in client.fine_tuning.jobs.list_events(job.id, limit=3)]
    messages = [event.message for event in reversed(events)]
    assert messages[0] == f"Created fine-tuning job: {job.id}"
    assert messages[-1] == "The job has successfully completed"
    steps = [event.data["step"] for event in reversed(events) if event.type == "metrics"]
    assert steps == [1, 2, 2, 3, 4, 4, 5, 6, 6]
    checkpoints = [found async for found in client.fine_tuning.jobs.checkpoints.list(job.id, limit=2)]
    assert [found.step_number for found in checkpoints] == [6, 4, 2]
    assert checkpoints[0].fine_tuned_model_checkpoint == done.fine_tuned_model
    assert checkpoints[1].metrics.valid_loss == pytest.approx(0.75)

    (result,) = done.result_files
    content = (await client.files.content(result)).text
    assert content.splitlines()[:3] == [
        "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy",
        "1,2.0,,,",
        "2,1.0,,1.5,",
    ]
    assert [job.id async for job in client.fine_tuning.jobs.list(metadata={"ticket": "42"})] == [job.id]
    assert [job.id async for job in client.fine_tuning.jobs.list(metadata={"ticket": "43"})] == []


async def test_preferences_train_by_dpo(house: TuningHouse) -> None:
    client = await house.client()
    pairs = await upload(client, PAIRS)
    dpo = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2}}}
    job = await client.fine_tuning.jobs.create(training_file=pairs, model="tiny", method=dpo)
    assert job.method and job.method.dpo and job.method.dpo.hyperparameters
    assert job.method.dpo.hyperparameters.beta == 0.2
    with pytest.raises(openai.BadRequestError, match="holds preference data") as caught:
        await client.fine_tuning.jobs.create(training_file=pairs, model="tiny")
    assert caught.value.param == "training_file"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"integrations": [{"type": "wandb", "wandb": {"project": "x"}}]}, "integrations"),
        ({"method": {"type": "reinforcement"}}, "method.type"),
        ({"method": {"type": "supervised", "dpo": {}}}, "method"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"batch_size": True}}, "hyperparameters.batch_size"),
        ({"hyperparameters": {}, "method": {"type": "supervised"}}, "hyperparameters"),
        ({"suffix": "with space"}, "suffix"),
        ({"seed": -1}, "seed"),
        ({"validation_file": "file-0"}, "validation_file"),
        ({"extra_body": {"unknown": 1}}, "unknown"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_its_name(
    house: TuningHouse, asked: dict[str, object], param: str
) -> None:
    client = await house.client()
    with pytest.raises(openai.BadRequestError) as caught:
        await client.fine_tuning.jobs.create(training_file=await upload(client), model="tiny", **asked)  # type: ignore[arg-type]
    assert (caught.value.param or "").startswith(param), caught.value
    assert not [job async for job in client.fine_tuning.jobs.list()]


async def test_jobs_start_only_from_what_is_tunable(house: TuningHouse) -> None:
    client, narrow = await house.client(), await house.client(models=["other"])
    with pytest.raises(openai.NotFoundError, match="Models: tiny"):
        await client.fine_tuning.jobs.create(training_file=await upload(client), model="other")
    with pytest.raises(openai.PermissionDeniedError, match="may not use the model"):
        await narrow.fine_tuning.jobs.create(training_file=await upload(narrow), model="tiny")


async def test_a_key_needs_the_permission(house: TuningHouse) -> None:
    client = await house.client(may_tune=False)
    with pytest.raises(openai.PermissionDeniedError, match="--may-tune"):
        await client.files.list()
    with pytest.raises(openai.PermissionDeniedError):
        await client.fine_tuning.jobs.list()


async def test_a_team_sees_its_own_and_an_administrator_everything(house: TuningHouse) -> None:
    ours, theirs = await house.client(team="a"), await house.client(team="b")
    colleague, admin = await house.client(team="a"), await house.client(role="admin")
    file = await upload(ours)
    job = await ours.fine_tuning.jobs.create(training_file=file, model="tiny")
    assert (await colleague.fine_tuning.jobs.retrieve(job.id)).id == job.id
    assert (await admin.files.retrieve(file)).id == file
    for attempt in (
        theirs.files.retrieve(file),
        theirs.files.content(file),
        theirs.files.delete(file),
        theirs.fine_tuning.jobs.retrieve(job.id),
        theirs.fine_tuning.jobs.cancel(job.id),
        theirs.fine_tuning.jobs.list_events(job.id),
        theirs.fine_tuning.jobs.checkpoints.list(job.id),
    ):
        with pytest.raises(openai.NotFoundError):
            await attempt
    with pytest.raises(openai.BadRequestError, match="No file"):
        await theirs.fine_tuning.jobs.create(training_file=file, model="tiny")
    assert not [one async for one in theirs.files.list()] and not [one async for one in theirs.fine_tuning.jobs.list()]


async def test_jobs_run_one_after_the_other_in_their_order(house: TuningHouse) -> None:
    client = await house.client()
    file = await upload(client)
    (house.control / "hold").touch()
    jobs = [(await client.fine_tuning.jobs.create(training_file=file, model="tiny")).id for _ in range(3)]
    await house.start()

    async def statuses() -> list[str]:
        return [(await client.fine_tuning.jobs.retrieve(job)).status for job in jobs]

    async def first_runs() -> bool:
        return await statuses() == ["running", "queued", "queued"]

    await until(first_runs)
    (house.control / "hold").unlink()
    done = [await ended(client, job) for job in jobs]
    assert [job.status for job in done] == ["succeeded"] * 3
    ends = [job.finished_at for job in done]
    assert ends == sorted(ends)
    assert len({job.fine_tuned_model for job in done}) == 3


async def test_cancelling_ends_the_process(house: TuningHouse) -> None:
    await house.start()
    client = await house.client()
    (house.control / "hold").touch()
    job = await client.fine_tuning.jobs.create(training_file=await upload(client), model="tiny")

    async def pid() -> int | None:
        found = list(house.control.glob("started-*"))
        return int(found[0].name.partition("-")[2]) if found else None

    process = await until(pid)
    assert (await client.fine_tuning.jobs.cancel(job.id)).status == "cancelled"
    await until(lambda: asyncio.to_thread(lambda: not _is_running(process)))
    assert (await client.fine_tuning.jobs.retrieve(job.id)).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="it is over: cancelled"):
        await client.fine_tuning.jobs.cancel(job.id)
    (house.control / "hold").unlink()
    after = await client.fine_tuning.jobs.create(training_file=await upload(client), model="tiny")
    assert (await ended(client, after.id)).status == "succeeded"


def _is_running(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_pause_and_resume_are_refused_with_the_reason(house: TuningHouse) -> None:
    client = await house.client()
    job = await client.fine_tuning.jobs.create(training_file=await upload(client), model="tiny")
    for attempt in (client.fine_tuning.jobs.pause(job.id), client.fine_tuning.jobs.resume(job.id)):
        with pytest.raises(openai.BadRequestError, match="cannot be (paused|resumed)"):
            await attempt


async def test_data_that_the_tokenizer_finds_wrong_fails_the_job_before_its_turn(house: TuningHouse) -> None:
    await house.start()
    client = await house.client()
    (house.control / "too-long").touch()
    job = await client.fine_tuning.jobs.create(training_file=await upload(client), model="tiny")
    done = await ended(client, job.id)
    assert (done.status, done.error.code, done.error.param) == ("failed", "invalid_training_file", "training_file")
    assert "Line 2 of file-" in done.error.message and "9000 tokens" in done.error.message
    assert str(house.settings.home) not in done.error.message
    assert not list(house.control.glob("started-*"))


@pytest.mark.parametrize(
    ("fault", "content", "code", "message"),
    [
        ("fail", "2 freehold: the recipe is wrong: why\nTry again.", "training_refused", "the recipe is wrong"),
        ("fail", "1 Traceback: boom", "training_failed", "status 1"),
        ("refuse-parity", "", "parity_gate_failed", "the adapter changes nothing"),
    ],
)
async def test_a_failure_says_why(house: TuningHouse, fault: str, content: str, code: str, message: str) -> None:
    await house.start()
    client = await house.client()
    (house.control / fault).write_text(content)
    job = await client.fine_tuning.jobs.create(training_file=await upload(client), model="tiny")
    done = await ended(client, job.id)
    assert (done.status, done.error.code, done.fine_tuned_model) == ("failed", code, None)
    assert message in done.error.message
    assert not [model async for model in client.models.list() if model.id.startswith("ft:")]


async def test_an_adapter_that_engines_refuse_is_no_success(house: TuningHouse) -> None:
    await house.start()
    house.cannot_load = "its keys match no module"
    client = await house.client()
    job = await client.fine_tuning.jobs.create(training_file=await upload(client), model="tiny")
    done = await ended(client, job.id)
    assert (done.status, done.error.code) == ("failed", "adapter_not_served")
    assert "its keys match no module" in done.error.message
    assert done.result_files, "what was measured is there all the same"


@pytest.mark.parametrize("house", [{"timeLimitS": 1}], indirect=True)
async def test_a_job_has_its_time_and_no_more(house: TuningHouse) -> None:
    await house.start()
    client = await house.client()
    (house.control / "hold").touch()
    job = await client.fine_tuning.jobs.create(training_file=await upload(client), model="tiny")
    done = await ended(client, job.id)
    assert (done.status, done.error.code) == ("failed", "time_limit_exceeded")


@pytest.mark.parametrize("house", [{"memoryGib": 1}], indirect=True)
async def test_a_job_has_its_memory_and_no_more(house: TuningHouse) -> None:
    await house.start()
    client = await house.client()
    (house.control / "grow").touch()
    job = await client.fine_tuning.jobs.create(training_file=await upload(client), model="tiny")
    done = await ended(client, job.id)
    assert (done.status, done.error.code) == ("failed", "training_failed")


@pytest.mark.parametrize("house", [{"pendingJobs": 1}], indirect=True)
async def test_a_team_has_so_many_jobs_waiting(house: TuningHouse) -> None:
    client, others = await house.client(team="a"), await house.client(team="b")
    await client.fine_tuning.jobs.create(training_file=await upload(client), model="tiny")
    with pytest.raises(openai.RateLimitError, match="waiting or running"):
        await client.fine_tuning.jobs.create(training_file=await upload(client), model="tiny")
    await others.fine_tuning.jobs.create(training_file=await upload(others), model="tiny")


async def test_jobs_get_nothing_secret_of_the_gateway(house: TuningHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_ADMIN_KEY", "s3cret")
    await house.start()
    client = await house.client()
    job = await client.fine_tuning.jobs.create(training_file=await upload(client), model="tiny")
    await ended(client, job.id)
    (started,) = house.control.glob("started-*")
    environment = json.loads(started.read_text())["environment"]
    assert "FREEHOLD_ADMIN_KEY" not in environment
    assert environment["FREEHOLD_OFFLINE"] == "1"


async def test_a_runner_that_stops_leaves_its_job_to_the_next(house: TuningHouse) -> None:
    await house.start()
    client = await house.client()
    (house.control / "hold").touch()
    job = await client.fine_tuning.jobs.create(training_file=await upload(client), model="tiny")

    async def has_a_checkpoint() -> bool:
        return bool([one async for one in client.fine_tuning.jobs.checkpoints.list(job.id)])

    await until(has_a_checkpoint)
    await house.stop()
    assert (await client.fine_tuning.jobs.retrieve(job.id)).status == "running"
    (house.control / "hold").unlink()
    await house.start()
    assert (await ended(client, job.id)).status == "succeeded"
    events = [event async for event in client.fine_tuning.jobs.list_events(job.id, limit=100)]
    assert "Fine-tuning job resumed from step 2" in {event.message for event in events}
    steps = [event.data["step"] for event in reversed(events) if event.type == "metrics"]
    assert steps == sorted(steps) and set(steps) == {1, 2, 3, 4, 5, 6}
