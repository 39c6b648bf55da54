"""Scorers that ask a model: planted judges and embeddings, right and wrong."""

from typing import Any

import pytest
from fixtures.evaluating import JUDGE, prompt_of, reply_of, score_of, scorer_of

from freehold.core.errors import RemoteError
from freehold.evaluate.results.record import Score
from freehold.evaluate.scorers.agreement import agreement
from freehold.evaluate.scorers.scorer import Sample, Unscorable
from freehold.evaluate.targets.reply import Reply

VECTORS = {"a dog": [1.0, 0.0], "a puppy": [0.9, 0.1], "a tax": [0.0, 1.0], "no dog": [-1.0, 0.0]}
EMBEDS = {"endpoint": {"baseUrl": "http://127.0.0.1:1", "model": "e"}}


class Embeddings:
    """Satisfies `Ask`."""

    judge = None

    async def __call__(self, name: str, endpoint: Any, path: str, body: dict[str, Any], *, sample: int = 0) -> Reply:
        assert (path, body["model"]) == ("/v1/embeddings", "e")
        return Reply(outcome="answered", body={"embedding": VECTORS[body["input"]]})


@pytest.mark.parametrize(
    ("options", "expected", "answer", "low", "high"),
    [
        ({}, "a dog", "a dog", 1, 1),
        ({}, "a dog", "a puppy", 0.99, 0.999),
        ({}, "a dog", "a tax", 0, 0),
        ({}, "a dog", "no dog", 0, 0),
        ({}, ["a tax", "a dog"], "a dog", 1, 1),
        ({"threshold": 0.9}, "a dog", "a puppy", 1, 1),
        ({"threshold": 0.9}, "a dog", "a tax", 0, 0),
        ({}, "a dog", " ", 0, 0),
    ],
)
async def test_similarity(options: dict[str, Any], expected: Any, answer: str, low: float, high: float) -> None:
    score = await score_of(scorer_of("similarity", **EMBEDS, **options), expected, answer, Embeddings())
    assert low <= score.value <= high


class Broken(Embeddings):
    async def __call__(self, *given: Any, **named: Any) -> Reply:
        return Reply(outcome="answered", body={"embedding": []})


async def test_an_embedding_that_is_none_is_no_score() -> None:
    with pytest.raises(RemoteError, match="gave no embedding"):
        await score_of(scorer_of("similarity", **EMBEDS), "a dog", "a tax", Broken())


class Judge:
    """Satisfies `Ask`: prefers what has the word `polite`, unless told how to judge."""

    judge = JUDGE

    def __init__(self, *verdicts: str) -> None:
        self._verdicts = list(verdicts)
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, name: str, endpoint: Any, path: str, body: dict[str, Any], *, sample: int = 0) -> Reply:
        assert endpoint is JUDGE
        self.asked.append(body)
        if self._verdicts:
            return reply_of(self._verdicts.pop(0))
        case = body["messages"][-1]["content"]
        first, second = case.split("<answer_b>")
        polite = ["polite" in first.split("<answer_a>")[1], "polite" in second]
        named = "TIE" if polite[0] == polite[1] else "A" if polite[0] else "B"
        return reply_of(f"I compared them.\nVERDICT: {named}")


RUBRIC = {"rubric": "The answer is polite."}


@pytest.mark.parametrize(("answer", "value"), [("a polite one", 1), ("a rude one", 0), ("a polite but rude one", 1)])
async def test_a_judge_that_is_asked_in_both_orders(answer: str, value: float) -> None:
    judge = Judge()
    score = await score_of(scorer_of("rubric", **RUBRIC), "a neutral one" if value else "a polite one", answer, judge)
    assert score.value == value, score.why
    places = [body["messages"][-1]["content"].index(answer) for body in judge.asked]
    assert len(places) == 2
    assert places[0] < places[1], "the second time the answer stands behind the other"


@pytest.mark.parametrize(
    ("first", "swapped", "value", "details"),
    [
        ("VERDICT: A", "VERDICT: B", 1, ("answer", "answer")),
        ("VERDICT: B", "VERDICT: A", 0, ("other", "other")),
        ("VERDICT: A", "VERDICT: A", 0.5, ("answer", "other")),  # always the first: position bias
        ("VERDICT: B", "VERDICT: B", 0.5, ("other", "answer")),
        ("VERDICT: TIE", "VERDICT: TIE", 0.5, ("tie", "tie")),
        ("VERDICT: A", "VERDICT: TIE", 0.5, ("answer", "tie")),
        ("VERDICT: A", "both are fine", 0.5, ("answer", "none")),
        ("VERDICT: B, or no: **VERDICT: A**", "verdict: b", 1, ("answer", "answer")),
    ],
)
async def test_verdicts_that_differ_count_as_a_tie(
    first: str, swapped: str, value: float, details: tuple[str, str]
) -> None:
    score = await score_of(scorer_of("rubric", **RUBRIC), "other", "answer", Judge(first, swapped))
    assert score.value == value
    assert (score.details["first"], score.details["swapped"]) == details


async def test_an_answer_held_against_another_targets() -> None:
    scorer = scorer_of("rubric", **RUBRIC, against="old")
    old = reply_of("rude")
    assert (await score_of(scorer, None, "polite", Judge(), old=old)).value == 1
    assert (await score_of(scorer, None, old, Judge(), target="old")).value == 0.5
    refused = Reply(outcome="refused", error="400")
    assert (await score_of(scorer, None, "rude", Judge(), old=refused)).value == 1
    with pytest.raises(Unscorable):
        await scorer.score(Sample(prompt_of(), "a", 0, old, {"a": old}), Judge())


def _pair(first: str, swapped: str) -> Score:
    return Score(value=0.5, details={"first": first, "swapped": swapped})


def test_agreement_of_a_judge_with_itself() -> None:
    pairs = [("answer", "answer")] * 40 + [("other", "other")] * 30 + [("answer", "other")] * 20
    pairs += [("other", "answer")] * 10 + [("none", "tie")] * 5
    found = agreement([_pair(*pair) for pair in pairs] + [Score(value=1)])
    assert found is not None
    assert (found.pairs, found.same, found.raw, found.without_verdict) == (105, 70, 0.7, 5)
    assert (found.favours_first, found.favours_second) == (20, 10)
    # By hand: the first order says answer 60 of 100 times, the swapped one 50; by chance .6 × .5 + .4 × .5 = .5.
    assert found.kappa == pytest.approx((0.7 - 0.5) / (1 - 0.5))


def test_a_judge_of_the_first_place_has_no_agreement() -> None:
    biased = agreement([_pair("answer", "other")] * 10)
    assert biased is not None
    assert (biased.raw, biased.kappa, biased.favours_first) == (0.0, 0.0, 10)


def test_agreement_is_none_where_nothing_was_judged_or_all_alike() -> None:
    assert agreement([Score(value=1)]) is None
    alike = agreement([_pair("tie", "tie")] * 3)
    assert alike is not None
    assert (alike.raw, alike.kappa) == (1.0, None)
