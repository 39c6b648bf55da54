"""`freehold batch` against a gateway in this process."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from fixtures.batch_house import BatchHouse, line, lines_of, over, some, start_batch
from fixtures.house import answer_three
from fixtures.journeys import running
from fixtures.stub_engine import Call
from typer.testing import CliRunner, Result

from freehold.core.errors import (
    AccessDeniedError,
    NotFoundError,
    OfflineError,
    RefusedError,
    UserError,
)
from freehold.serve.batches.client import journey
from freehold.serve.batches.client.gateway import RemoteBatches, Unreachable
from freehold.serve.batches.client.journey import BatchFailed
from freehold.serve.batches.client.ticket import place
from freehold.serve.cli.batch import app

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and have no keys from outside."""
    monkeypatch.setattr(journey.Journey, "poll_s", 0.05)
    for name in ("FREEHOLD_API_KEY", "FREEHOLD_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    (made / "input.jsonl").write_bytes(some(5))
    return made


async def call(house: BatchHouse, secret: str, *arguments: Any) -> Result:
    options = ["--url", f"{house.url}/v1", "--key", secret]
    return await asyncio.to_thread(CliRunner().invoke, app, [*map(str, arguments), *options])


async def test_a_file_of_requests_becomes_a_file_of_answers(house: BatchHouse, folder: Path) -> None:
    _, secret = await house.key()
    output = folder / "out" / "answers.jsonl"
    ended = await call(house, secret, folder / "input.jsonl", "-o", output)
    assert ended.exit_code == 0, ended
    assert ended.stdout == f"{output}\n"
    assert "completed" in ended.stderr and "5 answers" in ended.stderr
    answers = [json.loads(text) for text in output.read_text().splitlines()]
    assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(5)]
    assert {path.name for path in output.parent.iterdir()} == {"answers.jsonl"}, "no ticket, no errors"
    again = await call(house, secret, folder / "input.jsonl", "-o", output)
    assert isinstance(again.exception, RefusedError) and "is there already" in str(again.exception)


async def test_another_model_and_endpoint_may_be_named(house: BatchHouse, folder: Path) -> None:
    _, secret = await house.key()
    asked = {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"model": "closed", "input": "x"}}
    (folder / "input.jsonl").write_bytes(lines_of(asked))
    ended = await call(house, secret, folder / "input.jsonl", "-o", folder / "o.jsonl", "--model", "other")
    assert ended.exit_code == 0, ended.exception
    assert [call.target for call in house.engines["other"].calls] == ["/v1/embeddings"]
    wrong = [folder / "input.jsonl", "-o", folder / "p.jsonl", "--endpoint", "/v1/completions", "--model", "other"]
    ended = await call(house, secret, *wrong)
    assert isinstance(ended.exception, BatchFailed)
    assert "line 1: The url is '/v1/embeddings'" in str(ended.exception)


async def test_lines_that_fail_have_a_file_and_a_status_of_their_own(house: BatchHouse, folder: Path) -> None:
    async def answer(call: Call) -> None:
        if call.json["messages"][0]["content"] == "line-2":
            await call.reply(b'{"error": {"message": "no"}}', status=400)
        else:
            await answer_three(call)

    house.tiny.answer = answer
    _, secret = await house.key()
    ended = await call(house, secret, folder / "input.jsonl", "-o", folder / "o.jsonl")
    assert isinstance(ended.exception, BatchFailed) and ended.exception.exit_code == 1
    assert "1 of 5 lines" in str(ended.exception) and "o.errors.jsonl" in ended.exception.next_step
    assert len((folder / "o.jsonl").read_text().splitlines()) == 4
    (error,) = (folder / "o.errors.jsonl").read_text().splitlines()
    assert json.loads(error)["custom_id"] == "line-2"


async def test_what_broke_off_is_found_again(house: BatchHouse, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = await house.key()
    output = folder / "o.jsonl"
    create = RemoteBatches.create

    def cut(self: RemoteBatches, *given: Any) -> Any:
        create(self, *given)
        raise Unreachable("The connection broke after the request")  # nobody knows the batch's id

    monkeypatch.setattr(RemoteBatches, "create", cut)
    ended = await call(house, secret, folder / "input.jsonl", "-o", output)
    assert isinstance(ended.exception, Unreachable)
    monkeypatch.setattr(RemoteBatches, "create", create)
    assert place(output).exists()
    refused = await call(house, secret, folder / "input.jsonl", "-o", output)
    assert isinstance(refused.exception, RefusedError) and "--resume" in refused.exception.next_step
    ended = await call(house, secret, folder / "input.jsonl", "-o", output, "--resume")
    assert ended.exit_code == 0, ended.exception
    assert len(output.read_text().splitlines()) == 5
    client = house.client_of(secret)
    assert len([batch async for batch in client.batches.list()]) == 1, "no second batch was made"
    assert len(house.tiny.calls) == 5


async def test_another_input_is_not_taken_for_what_broke_off(house: BatchHouse, folder: Path) -> None:
    house.services.batches.retire()  # type: ignore[union-attr]
    _, secret = await house.key()
    output = folder / "o.jsonl"
    place(output).write_text(json.dumps({"id": "x", "url": f"{house.url}/v1", "input_sha256": "other"}))
    ended = await call(house, secret, folder / "input.jsonl", "-o", output, "--resume")
    assert isinstance(ended.exception, RefusedError) and "another input" in str(ended.exception)
    place(output).write_text("{")
    ended = await call(house, secret, folder / "input.jsonl", "-o", output, "--resume")
    assert "is no ticket" in str(ended.exception)


@pytest.mark.slow
async def test_a_command_that_is_killed_goes_on_where_it_was(house: BatchHouse, folder: Path) -> None:
    gate = asyncio.Event()

    async def answer(call: Call) -> None:
        await gate.wait()
        await answer_three(call)

    house.tiny.answer = answer
    _, secret = await house.key()
    output = folder / "o.jsonl"
    arguments = [str(folder / "input.jsonl"), "-o", str(output), "--url", f"{house.url}/v1"]
    script = "import sys; from freehold.serve.cli.batch import app; app(sys.argv[1:])"
    with running(sys.executable, "-c", script, *arguments, env={"FREEHOLD_API_KEY": secret}) as command:
        await asyncio.to_thread(command.until, "in_progress", 60.0)
        os.kill(command.process.pid, signal.SIGKILL)
    assert not output.exists()
    gate.set()
    with running(sys.executable, "-c", script, *arguments, "--resume", env={"FREEHOLD_API_KEY": secret}) as command:
        await asyncio.to_thread(command.until, "5 answers", 60.0)
    assert len(output.read_text().splitlines()) == 5
    assert len(house.tiny.calls) == 5


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "has no line"),
        (b"[]", "Line 1 of .* is not a JSON object"),
        (b"{", "Line 1 of .* is not JSON"),
        (b"{}", "Line 1 of .* has no url"),
    ],
)
async def test_a_wrong_input_is_told_before_anything_is_sent(
    house: BatchHouse, folder: Path, content: bytes, told: str
) -> None:
    (folder / "input.jsonl").write_bytes(content)
    ended = await call(house, "nobody", folder / "input.jsonl", "-o", folder / "o.jsonl")
    with pytest.raises(UserError, match=told):
        raise ended.exception or AssertionError
    assert {path.name for path in folder.iterdir()} == {"input.jsonl"}


async def test_errors_of_the_gateway_are_ours(house: BatchHouse, folder: Path) -> None:
    _, secret = await house.key()
    ended = await call(house, "fh-wrong", folder / "input.jsonl", "-o", folder / "o.jsonl")
    assert isinstance(ended.exception, AccessDeniedError) and "FREEHOLD_API_KEY" in ended.exception.next_step
    ended = await call(house, secret, "show", "batch_" + "0" * 24)
    assert isinstance(ended.exception, NotFoundError)
    arguments = ["show", "batch_x", "--url", "http://127.0.0.1:9/v1"]
    ended = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert isinstance(ended.exception, Unreachable) and "127.0.0.1:9" in str(ended.exception)
    assert ended.exception.exit_code == 8
    arguments = [str(folder / "input.jsonl"), "-o", "x", "--url", "http://10.1.2.3/v1", "--offline"]
    ended = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert isinstance(ended.exception, OfflineError)


async def test_batches_are_listed_shown_and_cancelled(house: BatchHouse) -> None:
    never = asyncio.Event()

    async def answer(call: Call) -> None:
        await never.wait()

    house.tiny.answer = answer
    _, secret = await house.key()
    client = house.client_of(secret)
    wrong = await over(client, (await start_batch(client, lines_of(line("a", model="none")))).id)
    batch = await start_batch(client, some(3))
    listed = await call(house, secret, "list")
    assert [row.split()[0] for row in listed.stdout.splitlines()] == ["ID", batch.id, wrong.id]
    rows = json.loads((await call(house, secret, "list", "--limit", 1, "--format", "json")).stdout)
    assert [row["id"] for row in rows] == [batch.id]
    shown = await call(house, secret, "show", wrong.id)
    assert "failed" in shown.stdout and "Line 1: The model 'none' does not exist" in shown.stderr
    assert "cancelling" in (await call(house, secret, "cancel", batch.id)).stdout
    assert (await over(client, batch.id)).status == "cancelled"
    ended = await call(house, secret, "cancel", batch.id)
    assert isinstance(ended.exception, UserError) and "its status is cancelled" in str(ended.exception)


def test_help_ends_with_examples() -> None:
    for arguments in (["--help"], ["run", "--help"], ["list", "--help"], ["show", "--help"], ["cancel", "--help"]):
        text = CliRunner().invoke(app, arguments).stdout
        assert "  freehold batch" in text.rpartition("Examples:")[2], arguments
