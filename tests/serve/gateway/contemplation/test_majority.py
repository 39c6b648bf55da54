"""The cheap mode: the answer that most drafts give, and what is said of the vote."""

import asyncio
import json
from typing import Any

import pytest
from fixtures.council import answers, dies, dies_in_one_piece, hangs, says, scene

from freehold.serve.gateway import winding
from freehold.serve.gateway.contemplation import sitting

MAJORITY = {"agents": {"tiny": 3, "small": 2}, "mode": "majority", "answerPattern": r"(\d+)"}


async def test_the_planted_majority_is_the_answer() -> None:
    async with scene(MAJORITY, tiny=says("It is 5", "It is 4", "It is 7"), small=says("So 4.", "= 4")) as room:
        status, answer = await room.ask(include_reasoning=True)
        assert status == 200
        message = answer["choices"][0]["message"]
        assert message["content"] == "It is 4"
        assert "3 of 5 drafts agree" in message["reasoning"]
        assert "Draft 3 (tiny):\nIt is 7" in message["reasoning"]
        assert answer["object"] == "chat.completion" and answer["model"] == "council"
        assert answer["usage"]["contemplation"] == {"parts": 5, "outcome": "majority", "votes": 3}
        assert await room.metric('freehold_contemplations_total{outcome="majority",route="council"}') == 1


async def test_usage_is_what_the_engines_counted() -> None:
    async with scene(MAJORITY, tiny=says("It is 5", "4"), small=says("So it is 4.")) as room:
        _, answer = await room.ask()
        usage = answer["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == room.used
        assert usage["total_tokens"] == sum(room.used) > 0
        assert await room.metric("freehold_prompt_tokens_total") == usage["prompt_tokens"]
        assert await room.metric("freehold_completion_tokens_total") == usage["completion_tokens"]
        assert "reasoning" not in answer["choices"][0]["message"]


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(-2.0, -1.0, "two"), (-1.0, -2.0, "one"), (None, None, "one")]
)
async def test_a_tie_goes_to_the_likelier_draft(first: float | None, second: float | None, expected: str) -> None:
    contemplate = {"agents": {"tiny": 1, "small": 1}, "mode": "majority"}
    async with scene(contemplate, tiny=says("one", logprob=first), small=says("two", logprob=second)) as room:
        _, answer = await room.ask()
        assert answer["choices"][0]["message"]["content"] == expected
        assert answer["system_fingerprint"] == {"one": "fh-tiny", "two": "fh-small"}[expected]


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (answers(500), "it answered 500: out of order"),
        (dies, "The engine of 'small' was lost in the middle of its answer"),
        (dies_in_one_piece, "its answer broke off"),
        (says(" "), "it said nothing"),
    ],
)
async def test_an_agent_that_fails_is_left_out_and_told(trouble: Any, why: str) -> None:
    async with scene(MAJORITY, tiny=says("4"), small=trouble) as room:
        status, answer = await room.ask(include_reasoning=True)
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "4")
        assert len(answer["usage"]["contemplation"]["left_out"]) == 2
        assert f"Left out: Draft 4 (small): {why}" in answer["choices"][0]["message"]["reasoning"]
        assert "3 of 3 drafts agree" in answer["choices"][0]["message"]["reasoning"]


async def test_without_a_quorum_there_is_an_error_that_says_who_failed() -> None:
    async with scene(MAJORITY, tiny=answers(500, "no memory"), small=says("4")) as room:
        status, answer = await room.ask()
        assert status == 502
        assert answer["error"]["code"] == "contemplation_failed"
        assert "3 of 5 drafts failed, and 3 are needed" in answer["error"]["message"]
        assert "tiny: it answered 500: no memory" in answer["error"]["message"]
        assert await room.metric('freehold_contemplations_total{outcome="failed",route="council"}') == 1


async def test_a_lost_quorum_stops_those_that_still_write() -> None:
    async with scene({**MAJORITY, "timeS": 60}, tiny=answers(500), small=says("4 " * 1000, pause_s=0.05)) as room:
        status, _ = await room.ask()
        assert status == 502
        await room.until_idle()
        assert len(room.speakers["small"].aborted) == 2


async def test_a_request_that_all_agents_refuse_is_the_clients_fault() -> None:
    async with scene(MAJORITY, tiny=answers(400, "too long"), small=answers(400, "too long")) as room:
        status, answer = await room.ask()
        assert status == 400
        assert "too long" in answer["error"]["message"]


@pytest.mark.parametrize("status", [401, 404, 429, 503])
async def test_what_is_wrong_between_gateway_and_engine_is_not_the_clients_fault(status: int) -> None:
    async with scene(MAJORITY, tiny=answers(status), small=answers(status)) as room:
        assert (await room.ask())[0] == 502


@pytest.mark.slow
async def test_when_the_time_is_over_what_came_is_the_answer() -> None:
    async with scene({**MAJORITY, "timeS": 3}, tiny=hangs, small=says("4")) as room:
        status, answer = await room.ask(include_reasoning=True)
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "4")
        assert "Left out: Draft 1 (tiny): the time budget is over." in answer["choices"][0]["message"]["reasoning"]
        await room.until_idle()
        assert await room.metric('freehold_requests_total{model="tiny"') == 3


async def test_nothing_in_time_is_a_504() -> None:
    async with scene({**MAJORITY, "timeS": 0.3}, tiny=hangs, small=hangs) as room:
        status, answer = await room.ask()
        assert (status, answer["error"]["code"]) == (504, "contemplation_timeout")


async def test_the_tokens_of_all_drafts_stay_in_the_budget() -> None:
    async with scene({**MAJORITY, "maxTokens": 23}, tiny=says("4"), small=says("4")) as room:
        await room.ask()
        caps = [body["max_tokens"] for speaker in room.speakers.values() for _, body in speaker.asked]
        assert sum(caps) <= 23 and min(caps) == 4
        await room.ask(max_tokens=2)
        assert [body["max_tokens"] for _, body in room.speakers["tiny"].asked[3:]] == [2, 2, 2]


async def test_drafts_get_the_requests_parameters_and_different_seeds() -> None:
    async with scene({**MAJORITY, "temperature": 0.9}, tiny=says("4"), small=says("4")) as room:
        await room.ask(seed=7, top_p=0.5, stop=["\n"])
        bodies = [body for speaker in room.speakers.values() for _, body in speaker.asked]
        assert sorted(body["seed"] for body in bodies) == [7, 8, 9, 10, 11]
        assert {(body["temperature"], body["top_p"], json.dumps(body["stop"])) for body in bodies} == {
            (0.9, 0.5, '["\\n"]')
        }
        await room.ask(temperature=0.1)
        assert room.speakers["tiny"].asked[-1][1]["temperature"] == 0.1


@pytest.mark.slow
async def test_an_engine_without_last_words_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the order to stop, and then says nothing."""
    monkeypatch.setattr(sitting, "LAST_WORDS_S", 0.05)
    monkeypatch.setattr(winding, "LAST_WORDS_S", 0.5)
    async with scene({**MAJORITY, "timeS": 3}, tiny=hangs, small=says("4")) as room:
        room.speakers["tiny"].stub.can_abort = True
        _, answer = await room.ask()
        assert answer["usage"]["contemplation"]["incomplete"] is True
        async with asyncio.timeout(10):
            while len(room.speakers["tiny"].aborted) < 3:
                await asyncio.sleep(0.01)
        await room.until_idle()
        assert len(room.speakers["tiny"].aborted) == 3
