"""An unmodified OpenAI client goes from a file of requests to a file of answers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from fixtures.batch_house import CHAT, OVER, BatchHouse, forget_leases, line, lines_of, over, results, some, start_batch
from fixtures.house import ADMIN_SECRET, answer_three
from fixtures.stub_engine import Call
from fixtures.tuning_house import GOOD, files_in, until
from sqlalchemy import Connection, update

from freehold.serve.batches.asking import Asking
from freehold.serve.batches.journal import Journal
from freehold.serve.state.key_fields import KeyChanges
from freehold.serve.state.tables import BatchJobRow, FileRow

pytestmark = pytest.mark.slow


async def test_a_script_goes_from_file_to_batch_to_answers(house: BatchHouse) -> None:
    client = await house.client(team="acme", models=["tiny"])
    batch = await start_batch(client, some(20), metadata={"ticket": "42"})
    assert (batch.object, batch.status, batch.completion_window) == ("batch", "validating", "24h")
    assert batch.expires_at == batch.created_at + 86_400
    done = await over(client, batch.id)
    assert done.status == "completed", done
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (20, 20, 0)
    assert done.error_file_id is None and done.metadata == {"ticket": "42"}
    assert done.created_at <= done.in_progress_at <= done.finalizing_at <= done.completed_at
    answers = await results(client, done.output_file_id)
    assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(20)]
    assert {answer["response"]["status_code"] for answer in answers} == {200}
    assert {answer["error"] for answer in answers} == {None}
    assert answers[0]["response"]["body"]["choices"][0]["message"]["content"] == "aaa"
    assert len({answer["id"] for answer in answers}) == 20
    usage = await house.usage()
    assert (usage["requests"], usage["errors"]) == (20, 0)
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (140, 60)
    assert len(house.tiny.calls) == 20
    file = await client.files.retrieve(done.output_file_id)
    assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")
    assert file.expires_at is not None and file.expires_at - file.created_at == 30 * 86_400
    assert files_in(house.settings.home / "batches") == set(), "its journal is gone"


async def test_an_engine_gets_the_body_of_the_line_byte_for_byte(house: BatchHouse) -> None:
    body = b'{"messages" :[{"role":"user","content":"\\u00e4 \xc3\xa4"}], "model":"tiny", "own": 1e2}'
    text = b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": %b}\n' % body
    client = await house.client()
    assert (await over(client, (await start_batch(client, text)).id)).status == "completed"
    (call,) = house.tiny.calls
    assert call.body == body
    assert call.header("authorization") is None


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/completions", {"prompt": "hello"}),
        ("/v1/embeddings", {"input": ["a", "b"]}),
        ("/v1/responses", {"input": "hello"}),
    ],
)
async def test_each_endpoint_is_asked(house: BatchHouse, endpoint: str, body: dict[str, Any]) -> None:
    client = await house.client()
    asked = {"custom_id": "a", "method": "POST", "url": endpoint, "body": {"model": "tiny", **body}}
    done = await over(client, (await start_batch(client, lines_of(asked), endpoint)).id)
    assert (done.status, done.endpoint) == ("completed", endpoint)
    assert [call.target for call in house.tiny.calls] == [endpoint]


@pytest.mark.parametrize("house", [{"auth": "none"}], indirect=True)
async def test_a_gateway_without_keys_takes_batches_from_everybody(house: BatchHouse) -> None:
    client = house.client_of("anything")
    done = await over(client, (await start_batch(client, some(3))).id)
    assert done.request_counts.completed == 3
    assert (await house.usage())["requests"] == 3


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input_file_id": "file-0"}, "input_file_id"),
        ({"input_file_id": "file-" + "0" * 24}, "input_file_id"),
        ({"endpoint": "/v1/messages"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 5}}, "output_expires_after.seconds"),
        ({"extra_body": {"unknown": 1}}, "unknown"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_its_name(
    house: BatchHouse, asked: dict[str, Any], param: str
) -> None:
    client = await house.client()
    file = await client.files.create(file=("a.jsonl", some(1)), purpose="batch")
    given = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"} | asked
    with pytest.raises(openai.BadRequestError) as caught:
        await client.batches.create(**given)
    assert (caught.value.param or "").startswith(param), caught.value
    assert not [batch async for batch in client.batches.list()]


@pytest.mark.parametrize("house", [{"tunes": True}], indirect=True, ids=["with-tuning"])
async def test_training_data_is_for_keys_that_may_tune(house: BatchHouse) -> None:
    tuner, client = await house.client(team="acme", may_tune=True), await house.client(team="acme")
    theirs = await tuner.files.create(file=("train.jsonl", GOOD), purpose="fine-tune")
    ours = await client.files.create(file=("a.jsonl", some(1)), purpose="batch")
    assert [file.id async for file in client.files.list()] == [ours.id]
    assert {file.id async for file in tuner.files.list()} == {ours.id, theirs.id}
    for refused in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            await refused(theirs.id)
    with pytest.raises(openai.PermissionDeniedError, match="--may-tune"):
        await client.files.create(file=("train.jsonl", GOOD), purpose="fine-tune")
    with pytest.raises(openai.BadRequestError, match="its purpose is fine-tune"):
        await tuner.batches.create(input_file_id=theirs.id, endpoint=CHAT, completion_window="24h")


async def test_other_purposes_are_served_where_their_section_is(house: BatchHouse) -> None:
    client = await house.client(may_tune=True)
    with pytest.raises(openai.BadRequestError, match="Send `batch`"):
        await client.files.create(file=("train.jsonl", GOOD), purpose="fine-tune")


async def test_batches_are_seen_by_their_team_alone(house: BatchHouse) -> None:
    ours, theirs = await house.client(team="a"), await house.client(team="b")
    batch = await start_batch(ours, some(1))
    for refused in (theirs.batches.retrieve, theirs.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            await refused(batch.id)
    with pytest.raises(openai.BadRequestError, match="No file"):
        await theirs.batches.create(input_file_id=batch.input_file_id, endpoint=CHAT, completion_window="24h")
    assert not [each async for each in theirs.batches.list()]
    admin = house.client_of(ADMIN_SECRET)
    assert [each.id async for each in admin.batches.list()] == [batch.id]


@pytest.mark.parametrize("house", [{"batches": {"concurrentBatches": 0}}], indirect=True)
async def test_batches_are_listed_page_by_page(house: BatchHouse) -> None:
    client = await house.client()
    made = [(await start_batch(client, some(1))).id for _ in range(5)]
    page = await client.batches.list(limit=2)
    assert ([batch.id for batch in page.data], page.has_more) == (made[:-3:-1], True)
    assert [batch.id async for batch in client.batches.list(limit=2)] == made[::-1]
    with pytest.raises(openai.NotFoundError):
        await client.batches.list(after="batch_" + "0" * 24)
    with pytest.raises(openai.BadRequestError):
        await client.batches.list(limit=0)


@pytest.mark.parametrize("house", [{"batches": {"pendingBatches": 2, "concurrentBatches": 0}}], indirect=True)
async def test_a_team_has_so_many_batches_going_on(house: BatchHouse) -> None:
    client = await house.client(team="a")
    first = await start_batch(client, some(1))
    await start_batch(client, some(1))
    with pytest.raises(openai.RateLimitError, match="no more may be") as caught:
        await start_batch(client, some(1))
    assert caught.value.code == "too_many_batches"
    await start_batch(await house.client(team="b"), some(1))
    assert (await client.batches.cancel(first.id)).status == "cancelling"


# -- files -------------------------------------------------------------------------------------------------------------


async def test_an_input_stays_while_its_batch_is_not_over(house: BatchHouse) -> None:
    release = hold(house)
    client = await house.client()
    batch = await start_batch(client, some(2))
    with pytest.raises(openai.BadRequestError, match=batch.id) as caught:
        await client.files.delete(batch.input_file_id)
    assert caught.value.code == "file_in_use"
    release()
    done = await over(client, batch.id)
    assert (await client.files.delete(batch.input_file_id)).deleted
    assert (await client.files.delete(done.output_file_id)).deleted


@pytest.mark.parametrize("house", [{"batches": {"teamBytes": 3000, "maxFileBytes": 2000}}], indirect=True)
async def test_quotas_hold_for_inputs_and_count_results(house: BatchHouse) -> None:
    client = await house.client(team="a")
    with pytest.raises(openai.BadRequestError, match=r"2000 bytes \(batches.maxFileBytes\)"):
        await client.files.create(file=("a.jsonl", b"x" * 70_000), purpose="batch")
    first = await over(client, (await start_batch(client, some(8))).id)
    assert first.status == "completed"
    assert len(await results(client, first.output_file_id)) == 8, "results are written, whatever they take"
    taken = sum([file.bytes async for file in client.files.list()])
    assert taken > 3000
    with pytest.raises(openai.BadRequestError, match="files of this team") as caught:
        await client.files.create(file=("b.jsonl", some(1)), purpose="batch")
    assert caught.value.code == "storage_quota_exceeded"
    with pytest.raises(openai.BadRequestError, match="files of this team"):
        await client.batches.create(input_file_id=first.input_file_id, endpoint=CHAT, completion_window="24h")


async def test_results_stay_as_long_as_was_asked(house: BatchHouse) -> None:
    client = await house.client()
    lifetime = {"anchor": "created_at", "seconds": 7200}
    done = await over(client, (await start_batch(client, some(1), output_expires_after=lifetime)).id)
    file = await client.files.retrieve(done.output_file_id)
    assert file.expires_at is not None and file.expires_at == file.created_at + 7200


# -- ends --------------------------------------------------------------------------------------------------------------


def hold(house: BatchHouse, passed: int = 0) -> Callable[[], None]:
    """Let the engine answer so many requests, and no more of them until the returned function is called."""
    import asyncio

    gate, count = asyncio.Event(), 0

    async def answer(call: Call) -> None:
        nonlocal count
        count += 1
        if count > passed:
            await asyncio.wait(
                [asyncio.ensure_future(gate.wait()), asyncio.ensure_future(call.left.wait())],
                return_when=asyncio.FIRST_COMPLETED,
            )
        if not call.left.is_set():
            await answer_three(call)

    house.tiny.answer = answer
    return gate.set


def counted(client: openai.AsyncOpenAI, batch_id: str, completed: int) -> Callable[[], Awaitable[Any]]:
    """Whether the batch tells of so many answers."""

    async def has() -> bool:
        return (await client.batches.retrieve(batch_id)).request_counts.completed == completed

    return has


@pytest.mark.parametrize("house", [{"batches": {"concurrency": 2}}], indirect=True)
async def test_a_cancelled_batch_keeps_what_it_has(house: BatchHouse) -> None:
    hold(house, passed=3)
    client = await house.client()
    batch = await start_batch(client, some(10))
    await until(counted(client, batch.id, 3))

    async def are_two_held() -> bool:
        return len(house.tiny.calls) == 5

    await until(are_two_held)
    cancelled = await client.batches.cancel(batch.id)
    assert cancelled.status == "cancelling" and cancelled.cancelling_at
    done = await over(client, batch.id)
    assert done.status == "cancelled" and done.cancelled_at
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (10, 3, 0)
    assert len(await results(client, done.output_file_id)) == 3
    unanswered = await results(client, done.error_file_id)
    assert [each["error"]["code"] for each in unanswered] == ["batch_cancelled"] * 7
    assert len(house.tiny.calls) == 5, "nothing was asked after it"
    assert all(call.left.is_set() for call in house.tiny.calls[3:]), "what ran was stopped"

    async def is_accounted() -> bool:
        return (await house.usage())["requests"] == 5

    await until(is_accounted)
    assert (await house.usage())["errors"] == 2, "what was cut off is accounted for as for a client that left"
    with pytest.raises(openai.BadRequestError, match="its status is cancelled"):
        await client.batches.cancel(batch.id)


async def test_a_batch_that_expires_tells_what_was_not_answered(house: BatchHouse) -> None:
    hold(house, passed=4)
    client = await house.client()
    batch = await start_batch(client, some(6))
    await until(counted(client, batch.id, 4))
    await house.database.run(expire)
    done = await over(client, batch.id)
    assert done.status == "expired" and done.expired_at
    assert len(await results(client, done.output_file_id)) == 4
    errors = await results(client, done.error_file_id)
    assert [(each["response"], each["error"]["code"]) for each in errors] == [(None, "batch_expired")] * 2


async def test_a_batch_goes_on_after_a_regular_stop(house: BatchHouse) -> None:
    release = hold(house, passed=4)
    client = await house.client()
    secret = client.api_key
    batch = await start_batch(client, some(20))
    await until(counted(client, batch.id, 4))
    await house.stop()
    release()
    await house.start()
    client = house.client_of(secret)
    done = await over(client, batch.id)
    assert (done.status, done.request_counts.completed) == ("completed", 20)
    answers = await results(client, done.output_file_id)
    assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(20)]
    asked = [call.json["messages"][0]["content"] for call in house.tiny.calls]
    assert [asked.count(answered) for answered in asked[:4]] == [1] * 4, "what was answered is not asked again"


UNWATCHED = pytest.mark.parametrize("house", [{"batches": {"concurrentBatches": 0}}], indirect=True)


async def watched(house: BatchHouse, client: openai.AsyncOpenAI) -> openai.AsyncOpenAI:
    """Work on batches from now on."""
    await house.stop()
    house.configure(concurrent_batches=1)
    await house.start()
    return house.client_of(client.api_key)


@UNWATCHED
async def test_a_batch_may_be_cancelled_before_anybody_looks_at_it(house: BatchHouse) -> None:
    client = await house.client()
    batch = await start_batch(client, b"{\n")
    assert (await client.batches.cancel(batch.id)).status == "cancelling"
    client = await watched(house, client)
    done = await over(client, batch.id)
    assert (done.status, done.errors, done.output_file_id, done.error_file_id) == ("cancelled", None, None, None)


@UNWATCHED
async def test_a_batch_may_expire_before_anybody_looks_at_it(house: BatchHouse) -> None:
    client = await house.client()
    batch = await start_batch(client, some(2))
    await house.database.run(expire)
    client = await watched(house, client)
    done = await over(client, batch.id)
    assert (done.status, len(await results(client, done.error_file_id))) == ("expired", 2)
    assert house.tiny.calls == []


def expire(connection: Connection) -> None:
    connection.execute(update(BatchJobRow).values(expires_at=1.0))


@pytest.mark.parametrize("house", [{"batches": {"concurrency": 2}}], indirect=True)
async def test_a_full_disk_costs_a_try_and_no_line(house: BatchHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is full twice when `line-3` is answered, and `line-2` is asked then: a try that was cut off is paid for."""
    append, full = Journal.append, 2
    is_other_asked = asyncio.Event()

    def fail(journal: Journal, record: Any) -> Any:
        nonlocal full
        if full and b"line-3" in bytes(record.answer):
            full -= 1
            is_other_asked.clear()
            raise OSError("No space left on device")
        return append(journal, record)

    async def answer(call: Call) -> None:
        content = call.json["messages"][0]["content"]
        if full and content == "line-2":
            is_other_asked.set()
            await call.left.wait()
            return
        if full and content == "line-3":
            await is_other_asked.wait()
        await answer_three(call)

    monkeypatch.setattr(Journal, "append", fail)
    house.tiny.answer = answer
    client = await house.client()
    batch = await start_batch(client, some(6))

    async def is_over() -> Any:  # as soon as its lease has run out, somebody tries again
        await house.database.run(forget_leases)
        found = await client.batches.retrieve(batch.id)
        return found if found.status in OVER else None

    done = await until(is_over)
    assert (done.status, done.request_counts.completed) == ("completed", 6)
    assert full == 0
    assert len(house.tiny.calls) == 6 + 2 * 2

    async def is_accounted() -> bool:  # what was cut off tells a moment later
        return (await house.usage())["requests"] == len(house.tiny.calls)

    await until(is_accounted)


@pytest.mark.parametrize("house", [{"batches": {"lineTimeoutS": 0.2}}], indirect=True)
async def test_a_line_has_so_much_time_and_three_tries(house: BatchHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    give_up = Asking.give_up

    def give_up_the_held_line(asking: Asking) -> None:
        if b"line-1" in asking._body:
            give_up(asking)

    monkeypatch.setattr(Asking, "give_up", give_up_the_held_line)

    async def answer(call: Call) -> None:
        if call.json["messages"][0]["content"] == "line-1":
            await call.left.wait()
        else:
            await answer_three(call)

    house.tiny.answer = answer
    client = await house.client()
    done = await over(client, (await start_batch(client, some(3))).id)
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 2, 1)
    (error,) = await results(client, done.error_file_id)
    assert (error["custom_id"], error["error"]["code"]) == ("line-1", "line_timeout")
    assert len(house.tiny.calls) == 2 + 3


@UNWATCHED
async def test_what_is_old_goes_and_what_is_needed_stays(house: BatchHouse) -> None:
    client = await house.client()
    needed = await start_batch(client, some(1))
    spent = await client.files.create(file=("old.jsonl", some(1)), purpose="batch")
    ended = await start_batch(client, some(1))
    await client.batches.cancel(ended.id)

    def age(connection: Connection) -> None:
        connection.execute(update(FileRow).values(expires_at=1.0))
        over = BatchJobRow.id == ended.id
        connection.execute(update(BatchJobRow).where(over).values(status="cancelled", finished_at=1.0))

    await house.database.run(age)
    journals = house.settings.home / "batches"
    journals.mkdir(exist_ok=True)
    for batch in (needed, ended):
        (journals / f"{batch.id}.jsonl").touch()
    await house.stop()
    await house.start()  # which sweeps
    client = house.client_of(client.api_key)

    async def is_swept() -> bool:
        return [batch.id async for batch in client.batches.list()] == [needed.id]

    await until(is_swept)

    async def is_removed() -> bool:
        return files_in(journals) == {f"{needed.id}.jsonl"}

    await until(is_removed)
    assert f"{spent.id}.jsonl" not in files_in(house.settings.home / "files")
    assert f"{needed.input_file_id}.jsonl" in files_in(house.settings.home / "files"), "a batch needs it"


async def test_an_input_whose_bytes_are_gone_fails_the_batch(house: BatchHouse) -> None:
    client = await house.client()
    file = await client.files.create(file=("a.jsonl", some(1)), purpose="batch")
    (house.settings.home / "files" / f"{file.id}.jsonl").unlink()
    batch = await client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    done = await over(client, batch.id)
    assert done.status == "failed"
    assert [error.code for error in done.errors.data] == ["input_file_missing"]


# -- lines that are no answers -----------------------------------------------------------------------------------------


async def test_a_line_that_the_engine_refuses_is_an_error_of_its_own(house: BatchHouse) -> None:
    async def answer(call: Call) -> None:
        if call.json["messages"][0]["content"] == "line-1":
            await call.reply(b'{"error": {"message": "too long", "code": 400}}\n', status=400)
        else:
            await answer_three(call)

    house.tiny.answer = answer
    client = await house.client()
    done = await over(client, (await start_batch(client, some(3))).id)
    assert done.status == "completed"
    assert (done.request_counts.completed, done.request_counts.failed) == (2, 1)
    assert [each["custom_id"] for each in await results(client, done.output_file_id)] == ["line-0", "line-2"]
    (error,) = await results(client, done.error_file_id)
    assert (error["custom_id"], error["error"]) == ("line-1", None)
    assert error["response"]["status_code"] == 400
    assert error["response"]["body"]["error"]["message"] == "too long"
    usage = await house.usage()
    assert (usage["requests"], usage["errors"]) == (3, 1)


@pytest.mark.parametrize(("deaths", "failed"), [(2, 0), (3, 1)])
async def test_an_engine_that_dies_gets_three_chances(house: BatchHouse, deaths: int, failed: int) -> None:
    async def answer(call: Call) -> None:
        if len(house.tiny.calls) <= deaths:
            call.die()
        else:
            await answer_three(call)

    house.tiny.answer = answer
    client = await house.client()
    done = await over(client, (await start_batch(client, some(1))).id)
    assert (done.request_counts.completed, done.request_counts.failed) == (1 - failed, failed)
    assert len(house.tiny.calls) == 3
    usage = await house.usage()
    assert (usage["requests"], usage["errors"]) == (3, deaths), "each try that an engine had is a request"


async def test_what_was_not_answered_in_json_is_kept_as_text(house: BatchHouse) -> None:
    async def answer(call: Call) -> None:
        await call.reply(b'no "json"\n\xff', content_type="text/plain")

    house.tiny.answer = answer
    client = await house.client()
    done = await over(client, (await start_batch(client, some(1))).id)
    (told,) = await results(client, done.output_file_id)
    assert told["response"]["body"] == 'no "json"\n\ufffd'


async def test_a_key_that_is_revoked_meanwhile_is_answered_no_more(house: BatchHouse) -> None:
    release = hold(house, passed=2)
    key_id, secret = await house.key(team="a")
    client, other = house.client_of(secret), await house.client(team="a")
    batch = await start_batch(client, some(12))
    await until(counted(other, batch.id, 2))
    headers = {"authorization": f"Bearer {ADMIN_SECRET}"}
    async with (
        aiohttp.ClientSession(house.url, headers=headers) as admin,
        admin.delete(f"/admin/v1/keys/{key_id}") as answer,
    ):
        assert answer.status in (200, 204), await answer.text()
    release()
    done = await over(other, batch.id)
    assert (done.request_counts.completed, done.request_counts.failed) == (2, 10)
    errors = await results(other, done.error_file_id)
    assert {each["response"]["status_code"] for each in errors} == {401}
    assert {each["response"]["body"]["error"]["code"] for each in errors} == {"invalid_api_key"}


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("house", [{"batches": {"concurrency": 6}}], indirect=True)
async def test_a_limit_that_passes_slows_a_batch_down_and_fails_nothing(house: BatchHouse) -> None:
    client = await house.client(concurrent_requests=1)
    done = await over(client, (await start_batch(client, some(6))).id)
    assert (done.request_counts.completed, done.request_counts.failed) == (6, 0)
    usage = await house.usage()
    assert (usage["requests"], usage["errors"]) == (6, 0), "waiting is no request"
    metrics = await _metrics(house)
    assert 'path="/v1/chat/completions",status="429"' in metrics, "the limit was met, else this proves nothing"


async def _metrics(house: BatchHouse) -> str:
    async with aiohttp.ClientSession(house.url) as client, client.get("/metrics") as answer:
        return await answer.text()


async def test_a_budget_that_is_used_up_ends_lines_with_its_error(house: BatchHouse) -> None:
    client = await house.client(monthly_tokens=100)  # a line uses 10
    done = await over(client, (await start_batch(client, some(30))).id)
    answered, refused = done.request_counts.completed, done.request_counts.failed
    assert (answered, refused) == (9, 21), "the last one would fit by what it uses, but not by what it may use: 12"
    errors = await results(client, done.error_file_id)
    assert {each["response"]["status_code"] for each in errors} == {429}
    assert {each["response"]["body"]["error"]["code"] for each in errors} == {"insufficient_quota"}
    assert len(house.tiny.calls) - _counts(house) == answered


def _counts(house: BatchHouse) -> int:
    return sum(call.target == "/tokenize" for call in house.tiny.calls)


@pytest.mark.slow
async def test_a_limit_per_minute_is_waited_for(house: BatchHouse) -> None:
    client = await house.client(requests_per_minute=4)
    done = await over(client, (await start_batch(client, some(6))).id, limit_s=150)
    assert (done.request_counts.completed, done.request_counts.failed) == (6, 0)
    assert (await house.usage())["requests"] == 6


# -- lines that cannot be asked ----------------------------------------------------------------------------------------

WRONG: list[tuple[bytes, str, str | None]] = [
    (b"{", "invalid_json_line", None),
    (b'["a"]', "invalid_json_line", None),
    (lines_of({**line("x"), "custom_id": None}), "missing_required_parameter", "custom_id"),
    (lines_of({**line("x"), "custom_id": 7}), "invalid_custom_id", "custom_id"),
    (lines_of({**line("x"), "custom_id": "y" * 513}), "invalid_custom_id", "custom_id"),
    (lines_of(line("good")), "duplicate_custom_id", "custom_id"),
    (lines_of({**line("x"), "method": "GET"}), "invalid_method", "method"),
    (lines_of({**line("x"), "url": "/v1/embeddings"}), "invalid_url", "url"),
    (lines_of({"custom_id": "x", "method": "POST", "url": CHAT}), "missing_required_parameter", "body"),
    (lines_of({**line("x"), "body": []}), "invalid_body", None),
    (lines_of(line("x", messages=[])), "missing_required_parameter", "messages"),
    (lines_of(line("x", stream=True)), "unsupported_parameter", "stream"),
    (lines_of({**line("x"), "body": {"messages": ["a"]}}), "missing_model", "model"),
    (lines_of(line("x", model="unknown")), "model_not_found", "model"),
    (lines_of(line("x", model="other")), "model_not_allowed", None),
]


async def test_a_key_that_was_just_widened_elsewhere_may_start(
    house: BatchHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.serve.gateway.keyring.KeyRing._poll", lambda ring: asyncio.sleep(3600))
    await house.stop()
    await house.start()
    key_id, secret = await house.key(models=["other"])
    client = house.client_of(secret)
    assert not [batch async for batch in client.batches.list()], "the key is known here"
    await asyncio.to_thread(house.keys.update, key_id, KeyChanges(models=["tiny"]))
    assert (await over(client, (await start_batch(client, some(1))).id)).status == "completed"


async def test_nothing_starts_while_a_line_is_wrong_and_each_is_told(house: BatchHouse) -> None:
    client = await house.client(models=["tiny"])
    texts = [lines_of(line("good")), b"\n"]
    texts += [text.replace(b'"x"', b'"x-%d"' % number) for number, (text, _, _) in enumerate(WRONG)]
    done = await over(client, (await start_batch(client, b"\n".join(text.strip(b"\n") for text in texts))).id)
    assert done.status == "failed" and done.failed_at
    assert done.errors.object == "list"
    told = [(error.line, error.code, error.param) for error in done.errors.data]
    assert told == [(number, code, param) for number, (_, code, param) in enumerate(WRONG, start=3)]
    assert all(error.message for error in done.errors.data)
    assert (done.output_file_id, done.error_file_id, done.request_counts.completed) == (None, None, 0)
    assert house.tiny.calls == []


async def test_parameters_that_the_engine_ignores_are_told_before_anything_runs(house: BatchHouse) -> None:
    house.tiny.abilities = frozenset()
    client = await house.client()
    wrong = lines_of(line("a"), line("b", audio={"voice": "x"}, modalities=["audio"]))
    done = await over(client, (await start_batch(client, wrong)).id)
    assert done.status == "failed"
    assert [(error.line, error.code) for error in done.errors.data] == [(2, "unsupported_parameter")]


@pytest.mark.parametrize("house", [{"batches": {"maxLines": 3}}], indirect=True)
@pytest.mark.parametrize(("content", "code"), [(some(4), "too_many_lines"), (b"\n \n", "empty_file")])
async def test_a_file_has_a_line_and_not_too_many(house: BatchHouse, content: bytes, code: str) -> None:
    client = await house.client()
    done = await over(client, (await start_batch(client, content)).id)
    assert (done.status, [(error.code, error.line) for error in done.errors.data]) == ("failed", [(code, None)])
    assert (await over(client, (await start_batch(client, some(3))).id)).status == "completed"


async def test_only_so_many_errors_are_listed(house: BatchHouse) -> None:
    client = await house.client()
    done = await over(client, (await start_batch(client, b"{\n" * 250)).id)
    assert len(done.errors.data) == 201
    assert (done.errors.data[-1].line, done.errors.data[-1].message) == (None, "50 more lines are wrong")


async def test_a_line_longer_than_a_request_is_told(house: BatchHouse, tmp_path: Path) -> None:
    from freehold.serve.batches.lines import InputFile

    path = tmp_path / "input.jsonl"
    long = json.dumps(line("long", content="x" * 200_000)).encode()
    path.write_bytes(some(1) + long + b"\n" + lines_of(line("last")))
    raws = [raw for part in InputFile(path, 1000).slices() for raw in part]
    assert [(raw.number, raw.is_too_long) for raw in raws] == [(1, False), (2, True), (3, False)]
    assert path.read_bytes()[raws[2].offset :] == raws[2].text
