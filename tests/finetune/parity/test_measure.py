"""What is asked of the gateway, and what is made of its answers."""

import asyncio
import json
import math
from typing import Any

import pytest
from fixtures.stub_engine import Call, StubEngine

from freehold.core.adapters.reference import ParityPosition, ParityPrompt, ParityReference
from freehold.core.errors import EngineError
from freehold.finetune.parity.measure import ServedAnswer, failure, measure

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": {"where": "Köln"}}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
POSITION = ParityPosition(token_id=7, tuned={7: -0.1}, base={7: -3.0})
CHAT = ParityPrompt(
    name="chat:1",
    messages=(
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ),
    tools=(TOOL,),
    prompt_token_ids=(1, 2, 3),
    positions=(POSITION,),
)
TEXT = ParityPrompt(name="text:1", messages=None, prompt_token_ids=(4, 5), positions=(POSITION, POSITION))
REFERENCE = ParityReference(base="tiny-1", base_digest="0" * 64, chat_template_sha256=None, prompts=(CHAT, TEXT))


class _Recorder:
    """Answers like an engine, and keeps what it was asked."""

    def __init__(self, **tuned: Any) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.scoring = 0
        self.most_at_once = 0
        self._logprob = tuned.get("logprob", -0.5)

    async def answer(self, call: Call) -> None:
        body = call.json
        self.asked.append((call.target, body))
        if "prompt_logprobs" in body:
            await self._score(call, body)
        elif call.target == "/v1/chat/completions":
            await _reply(call, {"prompt_token_ids": [1, 2, 3], "choices": [{"token_ids": [7]}]})
        else:
            await _reply(call, {"choices": [{"token_ids": [7, 7]}]})

    async def _score(self, call: Call, body: dict[str, Any]) -> None:
        self.scoring += 1
        self.most_at_once = max(self.most_at_once, self.scoring)
        await asyncio.sleep(0.01)
        value = self._logprob if body["model"] == "tuned" else -3.0
        given = [None, *({str(token): {"logprob": value}} for token in body["prompt"][1:])]
        self.scoring -= 1
        await _reply(call, {"choices": [{"prompt_logprobs": given}]})


async def _reply(call: Call, document: dict[str, Any]) -> None:
    await call.reply(json.dumps(document).encode())


async def _measured(recorder: _Recorder, base: str | None = "base") -> tuple[ServedAnswer, ...]:
    async with StubEngine("tuned", recorder.answer).listening() as engine:
        return await asyncio.to_thread(measure, engine.base_url, "tuned", base, REFERENCE)


async def test_each_prompt_is_answered_with_the_adapter_and_without() -> None:
    recorder = _Recorder()
    chat, text = await _measured(recorder)
    assert chat == ServedAnswer((1, 2, 3), (7,), ({7: -0.5},), ({7: -3.0},))
    assert text == ServedAnswer(None, (7, 7), ({7: -0.5}, {7: -0.5}), ({7: -3.0}, {7: -3.0}))
    forced = [(body["model"], body["prompt"]) for _, body in recorder.asked if "prompt_logprobs" in body]
    assert sorted(forced) == [
        ("base", [1, 2, 3, 7]),
        ("base", [4, 5, 7, 7]),
        ("tuned", [1, 2, 3, 7]),
        ("tuned", [4, 5, 7, 7]),
    ]


async def test_a_merged_model_is_asked_without_a_base() -> None:
    recorder = _Recorder()
    chat, _ = await _measured(recorder, base=None)
    assert chat.base is None
    assert {body["model"] for _, body in recorder.asked} == {"tuned"}


async def test_log_probabilities_of_prompts_are_asked_one_by_one() -> None:
    recorder = _Recorder()
    await _measured(recorder)
    assert recorder.most_at_once == 1


async def test_chats_travel_as_clients_write_them_and_sampling_is_nobodys_default() -> None:
    recorder = _Recorder()
    await _measured(recorder)
    (chat,) = [body for target, body in recorder.asked if target == "/v1/chat/completions"]
    assert chat["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"where": "Köln"}'
    assert chat["tools"] == [TOOL]
    assert chat["max_tokens"] == 1, "as many as the reference has"
    for _, body in recorder.asked:
        assert (body["temperature"], body["repetition_penalty"]) == (0, 1.0)


async def test_a_null_is_not_a_number() -> None:
    chat, _ = await _measured(_Recorder(logprob=None))
    assert math.isnan(chat.tuned[0][7])


async def test_an_error_keeps_the_engines_words() -> None:
    async def refuse(call: Call) -> None:
        await call.reply(b'{"error": {"message": "it has no such adapter"}}', status=503)

    async with StubEngine("tuned", refuse).listening() as engine:
        with pytest.raises(EngineError, match="tuned answered 503 to the parity gate: it has no such adapter"):
            await asyncio.to_thread(measure, engine.base_url, "tuned", None, REFERENCE)


async def test_only_what_failed_itself_has_a_failure() -> None:
    states = {"a": {"state": "failed", "detail": "no tensors"}, "b": {"state": "restarting", "detail": "it died"}}

    async def ready(call: Call) -> None:
        await call.reply(json.dumps({"models": states}).encode(), status=503)

    async with StubEngine("tuned", ready).listening() as engine:
        found = [await asyncio.to_thread(failure, engine.base_url, name) for name in ("a", "b", "c")]
    assert found == ["no tensors", "", ""]
