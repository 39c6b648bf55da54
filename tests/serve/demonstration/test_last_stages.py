"""Evaluate and serve, with a real gateway, a real `freehold evaluate`, and stubs for the engines."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fixtures.stub_engine import SSE, Call, StubEngine

from freehold.core.cli.options import Format
from freehold.core.errors import EngineError
from freehold.core.settings import Settings
from freehold.serve.config import DeploymentConfig, parse_config
from freehold.serve.demonstration import Wishes, journey
from freehold.serve.demonstration.console import ADMIN_KEY, admin_key, console_of
from freehold.serve.demonstration.evaluating import WORLD
from freehold.serve.demonstration.stages import Stage, Stages
from freehold.serve.demonstration.tuning import ADAPTER, FACTS

pytestmark = pytest.mark.slow


def _answer_of(model: str, question: str) -> str:
    """The world is known to both, the company to the tuned one alone."""
    known = {land: town for land, town in WORLD.items() if land in question}
    if model == ADAPTER:
        known |= {what: answer for what, answer in FACTS.items() if what in question}
    return next(iter(known.values()), "I cannot say.")


async def _answer(call: Call) -> None:
    if call.method == "GET":  # whether it is there
        await call.reply(b'{"data": []}')
        return
    asked = call.json
    text = _answer_of(asked["model"], asked["messages"][-1]["content"])
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    if asked.get("stream"):
        chunk = {"choices": [{"index": 0, "delta": {"content": text}}], "system_fingerprint": "fh-0"}
        await call.start(content_type=SSE)
        await call.chunk(f"data: {json.dumps(chunk)}\n\n".encode())
        await call.chunk(f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n".encode())
        await call.end()
        return
    choices = [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
    body = {"id": "c", "object": "chat.completion", "choices": choices, "usage": usage, "system_fingerprint": "fh-0"}
    await call.reply(json.dumps(body).encode())


@pytest.fixture
async def config() -> AsyncIterator[DeploymentConfig]:
    """The demo's models, each a stub."""
    async with AsyncExitStack() as stack:
        models = {}
        for name in (journey.MODEL, ADAPTER):
            stub = await stack.enter_async_context(StubEngine(name, _answer).listening())
            models[name] = {"engine": {"kind": "remote", "baseUrl": stub.base_url}}
        admin_key()
        gateway = {"port": 0, "drainTimeoutS": 0, "adminKeyFrom": {"env": ADMIN_KEY}}
        yield parse_config({"models": models, "gateway": gateway}, "The test's config")


@pytest.fixture
def staged(config: DeploymentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the journey of some wishes, whose tuning takes no time."""

    async def tune(*_: Any) -> Any:
        return SimpleNamespace(id="brightwater-0")

    async def prove(_: Any, __: Any, stage: Stage) -> None:
        stage.tell("passed")

    monkeypatch.setattr(journey, "tune", tune)
    monkeypatch.setattr(journey, "prove", prove)
    monkeypatch.setattr(journey._Journey, "_config", lambda *_: config)

    def make(**fields: Any) -> Any:
        usual: dict[str, Any] = {"question": "What is the capital of France?", "port": 0, "keep": False}
        wishes = Wishes(**usual | {"quantizes": False} | fields)
        return journey._Journey(Settings(home=tmp_path), wishes, Stages(wishes.stages), SimpleNamespace(id="b"))  # type: ignore[arg-type]

    return make


async def test_a_loss_that_too_few_prompts_show_is_told(
    staged: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = _answer_of

    def forgetful(model: str, question: str) -> str:
        return "Rome" if model == ADAPTER and "France" in question else honest(model, question)

    monkeypatch.setitem(globals(), "_answer_of", forgetful)
    await staged(form=Format.JSON).go()
    rows = {row["stage"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["evaluate"]["evidence"] == (
        "brightwater 0.00 → 1.00, world 1.00 → 0.80; verdict: replace; too few prompts (5) to tell for about=world"
    )


async def test_the_tuned_model_is_held_against_its_base(staged: Any, capsys: pytest.CaptureFixture[str]) -> None:
    await staged(form=Format.JSON).go()
    told = capsys.readouterr()
    rows = {row["stage"]: row for row in json.loads(told.out)}
    assert list(rows) == ["tune", "parity", "evaluate", "serve", "all"]
    assert rows["evaluate"]["evidence"] == "brightwater 0.00 → 1.00, world 1.00 → 1.00; verdict: replace"
    assert rows["evaluate"]["facts"]["decision"] == "replace" and Path(rows["evaluate"]["facts"]["run"]).is_dir()
    assert rows["serve"]["facts"]["answer"] == "Paris" and rows["serve"]["facts"]["system_fingerprint"] == "fh-0"
    assert "brightwater> " in told.err, "answers are no part of the document"
    assert "`freehold demo --keep` goes on serving" in told.err


async def test_who_keeps_it_is_told_where_it_is_until_it_is_stopped(
    staged: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = staged(keep=True, evaluates=False)
    going = asyncio.create_task(kept.go())
    while not (kept.is_told or going.done()):
        await asyncio.sleep(0.05)
    assert not going.done(), "it goes on serving"
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    told = capsys.readouterr()
    assert "STAGE" in told.out and "curl http" in told.err and "until Ctrl-C" in told.err


async def test_a_command_that_fails_names_the_option_that_leaves_it_out(staged: Any, tmp_path: Path) -> None:
    (tmp_path / "evaluations").write_text("a file where a folder must be")
    with pytest.raises(EngineError) as failed:
        await staged().go()
    assert "freehold evaluate" in str(failed.value) and "--no-evaluate" in failed.value.next_step


@pytest.mark.parametrize(("status", "has_one"), [(200, True), (303, True), (404, False)])
async def test_the_console_is_named_only_where_there_is_one(status: int, has_one: bool) -> None:
    async def page(call: Call) -> None:
        assert call.target == "/console"
        await call.reply(b"", status, "text/html")

    async with StubEngine("gateway", page).listening() as gateway:
        assert await console_of(gateway.base_url) == (f"{gateway.base_url}/console" if has_one else "")
