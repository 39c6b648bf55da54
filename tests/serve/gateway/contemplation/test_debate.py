"""Drafts, critique, and the judge's answer; and what becomes of it when one of them fails."""

from typing import Any

import pytest
from fixtures.council import QUESTION, Said, answers, dies, hangs, says, scene
from fixtures.stub_engine import Call

from freehold.serve.gateway.contemplation import asking

DEBATE = {"agents": {"tiny": 2, "small": 1}, "judge": "judge"}


async def test_the_judge_reads_drafts_and_critiques_and_gives_the_answer() -> None:
    tiny, small = says("It is 5", "It is 4", critique="Draft 1 is wrong."), says("It is 3", critique="Draft 3 is low.")
    async with scene(DEBATE, tiny=tiny, small=small, judge=says(merge="It is 4, indeed.")) as room:
        status, answer = await room.ask(include_reasoning=True)
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "It is 4, indeed.")
        assert answer["system_fingerprint"] == "fh-judge"
        assert answer["usage"]["contemplation"] == {"parts": 7, "outcome": "merged"}
        assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == room.used
        assert sorted(room.speakers["tiny"].kinds()) == ["critique", "critique", "draft", "draft"]
        ((_, merge),) = room.speakers["judge"].asked
        (asked,) = merge["messages"]
        for text in (QUESTION[0]["content"], "Draft 1:\nIt is 5", "Draft 3:\nIt is 3", "Critique 3:\nDraft 3 is low."):
            assert text in asked["content"]
        reasoning = answer["choices"][0]["message"]["reasoning"]
        assert "Draft 3 (small):\nIt is 3" in reasoning and "Critique 1 (tiny):\nDraft 1 is wrong." in reasoning


async def test_critics_of_a_second_round_read_the_first() -> None:
    async with scene({**DEBATE, "rounds": 2}, tiny=says("4"), small=says("5"), judge=says()) as room:
        _, answer = await room.ask()
        assert answer["usage"]["contemplation"]["parts"] == 10
        critiques = [
            body["messages"][-1]["content"] for kind, body in room.speakers["small"].asked if kind == "critique"
        ]
        assert ["Critique 1:" in text for text in critiques] == [False, True]


async def test_parameters_go_where_they_belong() -> None:
    async with scene({**DEBATE, "rounds": 1}, tiny=says("4"), small=says("5"), judge=says()) as room:
        form = {"type": "json_object"}
        await room.ask(response_format=form, stop=["x"], top_p=0.3, temperature=0.2, max_tokens=9, user="u")
        asked = [item for speaker in room.speakers.values() for item in speaker.asked]
        for kind, body in asked:
            assert (body["top_p"], body["temperature"], "user" in body) == (0.3, 0.2, False)
            assert (body.get("response_format") == form) == (kind != "critique")
            assert (body["max_tokens"] <= 9) == (kind != "critique")
        async with room.client.post(
            "/v1/chat/completions", json={"model": "council", "messages": QUESTION, "user": "u"}
        ) as reply:
            assert reply.headers["x-freehold-not-honoured"] == "user"
            assert reply.headers["x-freehold-fingerprint"] == "fh-judge"


@pytest.mark.parametrize("trouble", [answers(500), answers(400), dies, says(merge=" ")])
async def test_without_a_judge_the_draft_that_most_agree_with_is_the_answer(trouble: Any) -> None:
    async with scene(DEBATE, tiny=says("5", "4"), small=says("4."), judge=trouble) as room:
        status, answer = await room.ask(include_reasoning=True)
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "4")
        detail = answer["usage"]["contemplation"]
        assert (detail["outcome"], detail["votes"], len(detail["left_out"])) == ("unmerged", 2, 1)
        assert "Left out: The judge (judge)" in answer["choices"][0]["message"]["reasoning"]
        await room.until_idle()
        assert await room.metric('freehold_contemplations_total{outcome="unmerged",route="council"}') == 1


async def test_a_critic_that_fails_is_left_out() -> None:
    def drafts_only(call: Call, kind: str) -> Any:
        return Said("5") if kind == "draft" else answers(503)(call, kind)

    async with scene(DEBATE, tiny=says("4"), small=drafts_only, judge=says()) as room:
        _, answer = await room.ask(include_reasoning=True)
        assert answer["usage"]["contemplation"]["outcome"] == "merged"
        assert "Left out: Critique 3 (small): it answered 503" in answer["choices"][0]["message"]["reasoning"]


@pytest.mark.slow
async def test_drafts_that_hang_leave_the_judge_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_FOR_DRAFTS", 0.05)
    async with scene({**DEBATE, "timeS": 60}, tiny=says("4"), small=hangs, judge=says()) as room:
        _, answer = await room.ask(include_reasoning=True)
        assert answer["choices"][0]["message"]["content"] == "It is 4."
        reasoning = answer["choices"][0]["message"]["reasoning"]
        assert "Left out: Draft 3 (small): the time budget is over." in reasoning
        assert "Left out: critique: the time budget is over." in reasoning


@pytest.mark.slow
async def test_a_judge_that_hangs_is_not_waited_for() -> None:
    async with scene({**DEBATE, "timeS": 4}, tiny=says("4"), small=says("5"), judge=hangs) as room:
        _, answer = await room.ask()
        assert answer["choices"][0]["message"]["content"] == "4"
        assert answer["usage"]["contemplation"]["left_out"] == ["The judge (judge): the time budget is over"]


async def test_all_parts_together_stay_within_the_token_budget() -> None:
    """Every part writes as much as it may."""

    def verbose(call: Call, kind: str) -> Said:
        return Said(" ".join(["word"] * call.json["max_tokens"]), finish_reason="length")

    for budget in (7, 8, 50, 333):
        async with scene({**DEBATE, "maxTokens": budget}, tiny=verbose, small=verbose, judge=verbose) as room:
            _, answer = await room.ask()
            assert answer["usage"]["completion_tokens"] == room.used[1] <= budget
            assert answer["usage"]["contemplation"]["outcome"] == "merged"
            assert answer["choices"][0]["finish_reason"] == "length"


async def test_what_drafts_leave_of_the_budget_the_judge_has() -> None:
    async with scene({**DEBATE, "maxTokens": 700}, tiny=says("4"), small=says("5"), judge=says()) as room:
        await room.ask()
        ((_, merge),) = room.speakers["judge"].asked
        written = sum(speaker.completion for name, speaker in room.speakers.items() if name != "judge")
        assert merge["max_tokens"] == 700 - written


async def test_an_engine_that_overspends_costs_the_others_their_turn() -> None:
    """It was told 10 and writes 100: the budget is gone, and nobody is asked any more."""
    endless = says("word " * 99 + "word")
    async with scene({**DEBATE, "maxTokens": 70}, tiny=endless, small=says("5"), judge=says()) as room:
        _, answer = await room.ask(include_reasoning=True)
        assert answer["usage"]["contemplation"]["outcome"] == "unmerged"
        reasoning = answer["choices"][0]["message"]["reasoning"]
        assert "Left out: critique: the token budget is used up." in reasoning
        assert "Left out: the judge: the token budget is used up." in reasoning
        assert room.speakers["judge"].asked == []
