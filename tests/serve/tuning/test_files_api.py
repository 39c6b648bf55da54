"""Files come in by OpenAI's client and by raw bytes: checked, counted, bounded, and seen by their team alone."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import openai
import psutil
import pytest
from fixtures.tuning_house import GOOD, TuningHouse, files_in, until

pytestmark = pytest.mark.slow


def kept(house: TuningHouse) -> set[str]:
    return files_in(house.settings.home / "files")


async def test_a_file_is_kept_as_it_came(house: TuningHouse) -> None:
    client = await house.client()
    file = await client.files.create(file=("../../etc/facts.jsonl", GOOD), purpose="fine-tune")
    assert file.filename == "facts.jsonl"
    assert kept(house) == {f"{file.id}.jsonl"}
    assert (await client.files.content(file.id)).content == GOOD
    row = await house.database.run(lambda connection: _row(connection, file.id))
    assert (row.sha256, row.kind) == (hashlib.sha256(GOOD).hexdigest(), "conversation")
    assert (await client.files.delete(file.id)).deleted
    assert kept(house) == set()
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(file.id)


def _row(connection, file_id: str):  # type: ignore[no-untyped-def]
    from freehold.serve.state.files import get_file

    return get_file(connection, file_id, None)


async def test_files_are_listed_page_by_page(house: TuningHouse) -> None:
    client = await house.client()
    made = [(await client.files.create(file=("a.jsonl", GOOD), purpose="fine-tune")).id for _ in range(3)]
    assert [file.id async for file in client.files.list(limit=2)] == made[::-1]
    assert [file.id async for file in client.files.list(order="asc", limit=2)] == made
    assert [file.id async for file in client.files.list(purpose="fine-tune-results")] == []


async def test_every_problem_of_an_upload_is_told_with_its_line(house: TuningHouse) -> None:
    client = await house.client()
    wrong = [
        b'{"messages": [{"role": "user", "content": "a"}, {"role": "asistant", "content": "b"}]}',
        b'{"messages": [',
        GOOD.splitlines()[0],
        b'{"messages": []}',
    ]
    with pytest.raises(openai.BadRequestError) as caught:
        await client.files.create(file=("wrong.jsonl", b"\n".join(wrong)), purpose="fine-tune")
    message = caught.value.message
    assert (caught.value.code, caught.value.param) == ("invalid_file", "file")
    assert "asistant" in message and all(f"Line {number}" in message for number in (1, 2, 4)), message
    assert "Line 3" not in message
    assert str(house.settings.home) not in message
    assert kept(house) == set()
    assert [file async for file in client.files.list()] == []


async def test_only_so_many_problems_are_listed(house: TuningHouse) -> None:
    client = await house.client()
    with pytest.raises(openai.BadRequestError, match="30 problems") as caught:
        await client.files.create(file=("wrong.jsonl", b"{\n" * 30), purpose="fine-tune")
    assert "and 10 more" in caught.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "assistants"}, "purpose"),
        ({}, "purpose"),
        ({"purpose": "fine-tune", "surprise": "1"}, "surprise"),
        ({"purpose": "fine-tune", "expires_after[seconds]": "7200"}, "expires_after"),
        (
            {"purpose": "fine-tune", "expires_after[anchor]": "created_at", "expires_after[seconds]": "1"},
            "expires_after",
        ),
    ],
)
async def test_a_field_that_is_not_right_is_named(house: TuningHouse, fields: dict[str, str], param: str) -> None:
    client = await house.client()
    form = aiohttp.FormData(fields)
    form.add_field("file", GOOD, filename="a.jsonl")
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{house.url}/v1/files", data=form, headers=_key(client)) as answer,
    ):
        assert answer.status == 400
        assert (await answer.json())["error"]["param"] == param
    assert kept(house) == set()


def _key(client: openai.AsyncOpenAI) -> dict[str, str]:
    return {"authorization": f"Bearer {client.api_key}"}


async def test_a_lifetime_is_kept(house: TuningHouse) -> None:
    client = await house.client()
    expiry = {"anchor": "created_at", "seconds": 3600}
    file = await client.files.create(file=("a.jsonl", GOOD), purpose="fine-tune", expires_after=expiry)  # type: ignore[arg-type]
    assert file.expires_at == file.created_at + 3600


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data; boundary=b"),
        (b"{}", "application/json"),
        (
            b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
        ),
        (
            b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n{}\r\n',
            "multipart/form-data; boundary=b",
        ),
        (b"--b\r\nx: y\r\n\r\n1\r\n--b--\r\n", "multipart/form-data; boundary=b"),
        (b"--b\r\n" + b"x" * 9000, "multipart/form-data; boundary=b"),
        (b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n' + b"x" * 9000, "multipart/form-data; boundary=b"),
        (b"nonsense", "multipart/form-data; boundary=" + "b" * 300),
    ],
    ids=["empty", "json", "no-file", "torn", "nameless", "long-header", "long-field", "long-boundary"],
)
async def test_a_body_that_is_no_form_is_refused(house: TuningHouse, body: bytes, kind: str) -> None:
    client = await house.client()
    headers = {**_key(client), "content-type": kind}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{house.url}/v1/files", data=body, headers=headers) as answer,
    ):
        assert answer.status == 400, await answer.text()
    assert kept(house) == set()
    assert await house.database.run(_rows) == 0


def _rows(connection) -> int:  # type: ignore[no-untyped-def]
    from freehold.serve.state.files import known_files

    return len(known_files(connection))


async def test_an_upload_that_breaks_off_leaves_nothing(house: TuningHouse) -> None:
    client = await house.client()
    host, port = house.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client.api_key}\r\n"
    head += "content-type: multipart/form-data; boundary=b\r\ncontent-length: 100000\r\n\r\n"
    part = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n' + GOOD
    writer.write(head.encode() + part)
    await writer.drain()

    async def has_begun() -> bool:
        return bool(kept(house)) and await house.database.run(_rows) == 1

    await until(has_begun)
    writer.close()

    async def is_gone() -> bool:
        return not kept(house) and await house.database.run(_rows) == 0

    await until(is_gone)


@pytest.mark.parametrize("house", [{"maxFileBytes": 100_000}], indirect=True)
@pytest.mark.parametrize("declares", [True, False])
async def test_a_file_has_a_size_and_no_more(house: TuningHouse, declares: bool) -> None:
    client = await house.client()

    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        for _ in range(300):
            yield b"x" * 16_384

    headers = {**_key(client), "content-type": "multipart/form-data; boundary=b"}
    if declares:
        headers["content-length"] = str(300 * 16_384 + 74)
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(f"{house.url}/v1/files", data=body(), headers=headers) as answer:
                assert answer.status == 400
                assert (await answer.json())["error"]["code"] == "file_too_large"
        except aiohttp.ClientConnectionError:  # it was refused while it was still sending
            pass
    assert kept(house) == set()


@pytest.mark.parametrize("house", [{"teamBytes": 3 * len(GOOD), "totalBytes": 4 * len(GOOD)}], indirect=True)
async def test_a_team_and_all_together_have_so_much_room(house: TuningHouse) -> None:
    ours, theirs = await house.client(team="a"), await house.client(team="b")

    async def put(client: openai.AsyncOpenAI) -> str:
        return (await client.files.create(file=("a.jsonl", GOOD), purpose="fine-tune")).id

    mine = [await put(ours), await put(ours)]
    with pytest.raises(openai.BadRequestError, match="this team") as caught:
        await put(ours)  # the form around it does not fit beside the third
    assert caught.value.code == "storage_quota_exceeded"
    await put(theirs)
    with pytest.raises(openai.BadRequestError, match="all files together"):
        await put(theirs)
    await ours.files.delete(mine[0])
    await put(theirs)


async def test_a_file_that_a_job_needs_stays(house: TuningHouse) -> None:
    client = await house.client()
    file = (await client.files.create(file=("a.jsonl", GOOD), purpose="fine-tune")).id
    job = await client.fine_tuning.jobs.create(training_file=file, model="tiny")
    with pytest.raises(openai.BadRequestError, match=job.id):
        await client.files.delete(file)
    await client.fine_tuning.jobs.cancel(job.id)
    assert (await client.files.delete(file)).deleted


@pytest.mark.slow
async def test_a_large_upload_takes_little_memory(house: TuningHouse, tmp_path: Path) -> None:
    client = await house.client()
    large = tmp_path / "large.jsonl"
    with large.open("wb") as stream:
        for number in range(60_000):
            messages = [
                {"role": "user", "content": f"{number} " * 60},
                {"role": "assistant", "content": f"{number} " * 60},
            ]
            stream.write(json.dumps({"messages": messages}).encode() + b"\n")
    size = large.stat().st_size
    assert size > 40_000_000
    process, most = psutil.Process(), 0
    before = process.memory_info().rss

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, process.memory_info().rss)
            await asyncio.sleep(0.02)

    async def sent() -> AsyncIterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        with large.open("rb") as stream:
            while block := stream.read(65_536):
                yield block
        yield b"\r\n--b--\r\n"

    watching = asyncio.create_task(watch())
    headers = {**_key(client), "content-type": "multipart/form-data; boundary=b"}
    timeout = aiohttp.ClientTimeout(300)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"{house.url}/v1/files", data=sent(), headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        assert (await answer.json())["bytes"] == size
    watching.cancel()
    assert most - before < size / 2, "it was held in memory"
