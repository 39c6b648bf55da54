"""Streams: the transcript first if it is wanted, then the judge's words as they come; for unmodified clients."""

import asyncio
from typing import Any

import aiohttp
import openai
import pytest
from fixtures.council import CHAT, QUESTION, Scene, answers, dies, says, scene
from fixtures.stub_engine import SSE, Call
from openai import AsyncOpenAI

from freehold.serve.gateway.contemplation import asking

pytestmark = pytest.mark.slow

DEBATE = {"agents": {"tiny": 2}, "judge": "judge"}
MAJORITY = {"agents": {"tiny": 3}, "mode": "majority"}


async def _chunks(room: Scene, **fields: Any) -> list[Any]:
    async with AsyncOpenAI(base_url=f"{room.gateway.url}/v1", api_key="any", max_retries=0) as client:
        stream = await client.chat.completions.create(model="council", messages=QUESTION, stream=True, **fields)
        return [chunk async for chunk in stream]


def _joined(chunks: list[Any], name: str) -> str:
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    return "".join(getattr(delta, name, None) or "" for delta in deltas)


async def test_an_openai_client_gets_the_judges_words_one_by_one() -> None:
    async with scene(DEBATE, tiny=says("4", "5"), judge=says(merge="It is 4, indeed.")) as room:
        chunks = await _chunks(room, stream_options={"include_usage": True})
        contents = [
            chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content
        ]
        assert contents == ["It", " is", " 4,", " indeed."]
        assert chunks[0].choices[0].delta.role == "assistant"
        assert _joined(chunks, "reasoning") == ""
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        assert chunks[-2].system_fingerprint == "fh-judge"
        usage = chunks[-1].usage
        assert (usage.prompt_tokens, usage.completion_tokens) == room.used
        assert usage.contemplation["outcome"] == "merged"
        assert {(chunk.id, chunk.model, chunk.object) for chunk in chunks} == {
            (chunks[0].id, "council", "chat.completion.chunk")
        }


async def test_the_transcript_comes_before_the_answer() -> None:
    async with scene(DEBATE, tiny=says("4", "5"), judge=says()) as room:
        chunks = await _chunks(room, extra_body={"include_reasoning": True})
        assert "Draft 2 (tiny):\n5" in _joined(chunks, "reasoning")
        assert _joined(chunks, "content") == "It is 4."
        kinds = [
            next(iter(chunk.choices[0].delta.model_fields_set - {"role"}), "") for chunk in chunks if chunk.choices
        ]
        said = [kind for kind in kinds[1:] if kind in ("reasoning", "content")]
        assert said == sorted(said, reverse=True), "no reasoning after the first word of the answer"
        assert all(chunk.usage is None for chunk in chunks)


async def test_a_majority_streams_too() -> None:
    async with scene(MAJORITY, tiny=says("4", "5", "4.")) as room:
        chunks = await _chunks(room, extra_body={"include_reasoning": True})
        assert _joined(chunks, "content") == "4"
        assert "2 of 3 drafts agree" in _joined(chunks, "reasoning")


async def test_the_answer_begins_before_the_judge_has_ended() -> None:
    gate = asyncio.Event()

    async def slowly(call: Call) -> None:
        await call.start(content_type=SSE)
        await call.chunk(b'data: {"choices":[{"index":0,"delta":{"content":"It"}}]}\n\n')
        await gate.wait()
        await call.chunk(b'data: {"choices":[{"index":0,"delta":{"content":" is"},"finish_reason":"stop"}]}\n\n')
        await call.chunk(b"data: [DONE]\n\n")
        await call.end()

    async with (
        scene(DEBATE, tiny=says("4"), judge=lambda call, kind: slowly(call)) as room,
        room.client.post(CHAT, json={"model": "council", "messages": QUESTION, "stream": True}) as answer,
    ):
        async with asyncio.timeout(10):
            while b'"It"' not in await answer.content.readline():
                pass
        gate.set()
        assert b" is" in await answer.content.read()


async def test_clients_are_kept_alive_while_models_think(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "KEEP_ALIVE_S", 0.05)
    async with scene(DEBATE, tiny=says("It is 4", pause_s=0.1), judge=says()) as room:
        assert _joined(await _chunks(room), "content") == "It is 4."
        async with room.client.post(CHAT, json={"model": "council", "messages": QUESTION, "stream": True}) as answer:
            body = await answer.read()
        assert body.count(b"\n: ") >= 2, "comments, which the client above has not taken for events"
        assert body.index(b"data: ") < body.index(b"\n: ")


async def test_a_failure_before_the_first_byte_has_its_status() -> None:
    async with scene(DEBATE, tiny=answers(500), judge=says()) as room:
        with pytest.raises(openai.InternalServerError) as failed:
            await _chunks(room)
        assert (failed.value.status_code, failed.value.code) == (502, "contemplation_failed")


async def test_a_judge_that_dies_before_its_first_word_is_replaced_by_a_draft() -> None:
    async with scene(DEBATE, tiny=says("4"), judge=answers(500)) as room:
        chunks = await _chunks(room, stream_options={"include_usage": True})
        assert _joined(chunks, "content") == "4"
        assert chunks[-1].usage.contemplation["outcome"] == "unmerged"


async def test_a_judge_that_dies_in_its_answer_is_never_a_clean_end() -> None:
    async with scene(DEBATE, tiny=says("4"), judge=dies) as room:
        with pytest.raises(openai.APIError, match="lost in the middle"):
            await _chunks(room)
        async with room.client.post(CHAT, json={"model": "council", "messages": QUESTION, "stream": True}) as answer:
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()


async def test_a_judge_that_is_out_of_time_ends_where_it_is() -> None:
    async with scene({**DEBATE, "timeS": 4}, tiny=says("4"), judge=says(merge="It is 4 " * 50, pause_s=0.05)) as room:
        chunks = await _chunks(room, stream_options={"include_usage": True})
        assert _joined(chunks, "content").startswith("It is 4")
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
        assert chunks[-1].usage.completion_tokens == room.used[1], "what the judge wrote after the last word is counted"
