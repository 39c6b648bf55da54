"""Whole runs against a server with planted behaviours."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.evaluating import without_times, write_suite
from fixtures.stub_openai import Planted, StubOpenAI, error, question

from freehold.core.errors import AccessDeniedError, RefusedError, RemoteError
from freehold.core.settings import Settings
from freehold.evaluate.results.means import mean_rows
from freehold.evaluate.results.reading import read_answers
from freehold.evaluate.results.record import Answered
from freehold.evaluate.running.cache import Cache
from freehold.evaluate.running.folder import RunFolder
from freehold.evaluate.running.run import Finished, Options, run
from freehold.evaluate.suite.loading import Overrides, load_suite

pytestmark = pytest.mark.slow

SUMS = [
    {"prompt": f"{n} + {n}", "expected": str(2 * n), "id": f"sum-{n}", "slices": {"size": "big" if n > 9 else "small"}}
    for n in range(20)
]


def adds(body: dict[str, Any]) -> Planted:
    """Right, but for big numbers."""
    first, second = map(int, question(body).split(" + "))
    return Planted(str(first + second if first < 10 else 0))


@pytest.fixture
def stub() -> Iterator[StubOpenAI]:
    with StubOpenAI(adds).listening() as stub:
        yield stub


class House:
    """A folder with a suite, its runs and the cache."""

    def __init__(self, root: Path, stub: StubOpenAI) -> None:
        self.root, self.stub = root, stub
        self.fields: dict[str, Any] = {"targets": {"a": self.target()}, "request": {"maxTokens": 16}}
        self.lines = SUMS

    def target(self, **fields: Any) -> dict[str, Any]:
        return {"baseUrl": self.stub.url, "model": "m", "backoffS": 0.001, **fields}

    def run(self, name: str = "run", *, cache: bool = False, until_spent: bool = False, **fields: Any) -> Finished:
        """Run, or go on if there is a run of that name."""
        path = write_suite(self.root, self.lines, **self.fields | fields)
        loaded = load_suite(path, Overrides({}), Settings(home=self.root / "home"), {"KEY": "sk-1"})
        folder = RunFolder(self.root / name) if (self.root / name).exists() else RunFolder.create(self.root / name)
        options = Options(Cache(self.root / "cache") if cache else None, until_spent, {"KEY": "sk-1"})
        return asyncio.run(run(loaded, folder, options))

    def answers(self, name: str = "run") -> list[Answered]:
        return read_answers(self.root / name)

    @property
    def asked(self) -> Counter[str]:
        return Counter(question(body) for body in self.stub.asked)


@pytest.fixture
def house(tmp_path: Path, stub: StubOpenAI) -> House:
    return House(tmp_path, stub)


def test_a_run_from_prompts_to_means(house: House) -> None:
    prices = {"input": 1.0, "output": 2.0}
    finished = house.run(targets={"a": house.target(prices=prices)})
    assert (finished.outcomes, finished.is_whole) == ({"answered": 20}, True)
    assert finished.spent.tokens == 20 * 15
    assert finished.spent.money == pytest.approx(20 * (10 * 1 + 5 * 2) / 1e6)
    one = next(one for one in house.answers() if one.prompt == "sum-3")
    assert (one.answer, one.fingerprint, one.scores["right"].value) == ("6", "fp-1", 1)
    assert one.cost == pytest.approx(20 / 1e6)
    means = {row["slice"]: row["score"] for row in mean_rows(house.answers())}
    assert means == {"all": 0.5, "size=big": 0.0, "size=small": 1.0}


def test_the_same_seed_and_answers_give_the_same_file_but_for_times(house: House) -> None:
    two = {"a": house.target(concurrency=8), "b": house.target(concurrency=1)}
    house.run("first", targets=two, samples=2)
    house.run("second", targets=two, samples=2)
    first, second = without_times(house.answers("first")), without_times(house.answers("second"))
    assert first == second
    assert len(first) == 20 * 2 * 2
    assert [one.target for one in first[:4]] == ["a", "b", "a", "b"]
    lines = [(house.root / name / "answers.jsonl").read_bytes().splitlines() for name in ("first", "second")]
    for one, other in zip(*lines, strict=True):
        differing = {name for name, value in json.loads(one).items() if json.loads(other)[name] != value}
        assert differing <= {"latency_s"}
    house.run("third", targets=two, samples=2, seed=1)
    assert [one.prompt for one in house.answers("third")] != [one.prompt for one in first]


def test_each_target_gets_its_share_at_once_and_no_more(house: House) -> None:
    def slow(body: dict[str, Any]) -> Planted:
        with house.stub.arrived:  # until three are there together, or a moment has passed
            house.stub.arrived.wait_for(lambda: house.stub.at_once >= 3, 0.2)
        return adds(body)

    house.stub.answer = slow
    house.run(targets={"a": house.target(concurrency=3)})
    assert house.stub.most_at_once == 3


def test_429_and_5xx_are_asked_again_and_cost_nothing(house: House) -> None:
    tries: Counter[str] = Counter()

    def flaky(body: dict[str, Any]) -> Planted:
        tries[question(body)] += 1
        faults = [error(429, "slow", retry_after="0"), error(503, "warming up")]
        count = tries[question(body)]
        return faults[count - 1] if count < 3 else adds(body)

    house.stub.answer = flaky
    finished = house.run()
    assert finished.outcomes == {"answered": 20}
    assert set(house.asked.values()) == {3}
    assert finished.spent.tokens == 20 * 15


def test_a_try_that_may_have_been_billed_is_counted(house: House) -> None:
    house.lines = SUMS[:1]
    faults = [Planted(breaks=True)]
    house.stub.answer = lambda body: faults.pop() if faults else adds(body)
    finished = house.run()
    assert finished.outcomes == {"answered": 1}
    assert finished.spent.tokens > 15 + 16, "the lost answer counts at its longest"


def test_4xx_is_refused_once_with_the_engines_words(house: House) -> None:
    house.stub.answer = lambda body: error(400, "no such parameter") if question(body) == "3 + 3" else adds(body)
    assert house.run().outcomes == {"answered": 19, "refused": 1}
    (refused,) = [one for one in house.answers() if one.outcome == "refused"]
    assert (refused.prompt, refused.error, refused.score) == ("sum-3", "400: no such parameter", 0.0)
    assert house.asked["3 + 3"] == 1
    house.run()
    assert house.asked["3 + 3"] == 1, "a refusal is an answer: it is not asked again"


def test_what_fails_after_every_retry_counts_as_unsolved_and_is_asked_when_resumed(house: House) -> None:
    house.stub.answer = lambda body: error(500, "crash") if question(body) == "3 + 3" else adds(body)
    fields = {"targets": {"a": house.target(retries=2)}}
    assert house.run(**fields).outcomes == {"answered": 19, "failed": 1}
    (failed,) = [one for one in house.answers() if one.outcome == "failed"]
    assert (failed.score, failed.error) == (0.0, "no answer in 3 tries; the last: 500: crash")
    assert house.asked["3 + 3"] == 3
    house.stub.answer = adds
    assert house.run(**fields).outcomes == {"answered": 20}
    assert house.asked == {f"{n} + {n}": 4 if n == 3 else 1 for n in range(20)}


def test_a_target_that_is_down_ends_the_run_and_keeps_what_came(house: House) -> None:
    house.stub.answer = lambda body: adds(body) if len(house.stub.asked) <= 8 else error(503, "gone")
    fields = {"targets": {"a": house.target(retries=1, concurrency=1)}}
    with pytest.raises(RemoteError, match="3 requests in a row failed"):
        house.run(**fields)
    assert len(house.stub.asked) == 8 + 3 * 2
    house.stub.answer = adds
    assert house.run(**fields).outcomes == {"answered": 20}
    assert len(house.stub.asked) == 8 + 3 * 2 + 12


def test_a_wrong_key_ends_the_run_at_once(house: House) -> None:
    house.stub.answer = lambda body: error(401, "bad key")
    with pytest.raises(AccessDeniedError, match="bad key"):
        house.run(targets={"a": house.target(apiKeyFrom={"env": "KEY"}, concurrency=1)})
    assert [body["authorization"] for body in house.stub.asked] == ["Bearer sk-1"]
    assert "sk-1" not in "".join(path.read_text() for path in (house.root / "run").iterdir())


def test_a_budget_that_may_not_suffice_is_refused_before_anything_is_asked(house: House) -> None:
    with pytest.raises(RefusedError, match="The budget may not suffice") as caught:
        house.run(budget={"tokens": 100})
    assert "--until-spent" in caught.value.next_step
    assert house.stub.asked == []


def test_a_budget_holds_while_the_run_goes_on_and_the_rest_is_skipped(house: House) -> None:
    budget = {"tokens": 160}
    finished = house.run(budget=budget, until_spent=True)
    assert finished.spent.tokens <= 160
    assert finished.outcomes["answered"] == len(house.stub.asked) > 5
    assert finished.outcomes["skipped"] == 20 - len(house.stub.asked)
    skipped = [one for one in house.answers() if one.outcome == "skipped"]
    assert {one.score for one in skipped} == {None}, "it counts nowhere"
    before = len(house.stub.asked)
    finished = house.run(budget={"tokens": 10_000})
    assert finished.outcomes == {"answered": 20}
    assert len(house.stub.asked) == 20 > before, "what was answered is not asked again"


def test_a_budget_in_money_skips_both_targets_alike(house: House) -> None:
    prices = {"input": 1.0, "output": 10.0}
    targets = {name: house.target(prices=prices) for name in ("a", "b")}
    finished = house.run(targets=targets, budget={"money": 0.0012}, until_spent=True)
    assert 0 < finished.spent.money <= 0.0012
    by_target = Counter(one.target for one in house.answers() if one.outcome == "answered")
    assert abs(by_target["a"] - by_target["b"]) <= 1, "so that pairs stay"


def test_a_slow_target_keeps_its_pairs_when_the_budget_ends(house: House) -> None:
    def answer(body: dict[str, Any]) -> Planted:
        time.sleep(0.05 if body["model"] == "slow" else 0)
        return adds(body)

    house.stub.answer = answer
    prices = {"input": 1.0, "output": 10.0}
    targets = {"quick": house.target(prices=prices), "slow": house.target(prices=prices, model="slow", concurrency=1)}
    finished = house.run(targets=targets, budget={"money": 0.0012}, until_spent=True)
    assert 0 < finished.spent.money <= 0.0012
    answered = [one for one in house.answers() if one.outcome == "answered"]
    assert len({one.prompt for one in answered}) >= 8
    assert set(Counter(one.prompt for one in answered).values()) == {2}


def test_answers_of_an_earlier_run_are_not_asked_again(house: House) -> None:
    house.run("first", cache=True)
    before = len(house.stub.asked)
    finished = house.run("second", cache=True)
    assert len(house.stub.asked) == before + 1, "one, to learn who answers today"
    assert (finished.from_cache, finished.spent.tokens) == (19, 15)
    assert [one.latency_s for one in house.answers("second")].count(None) == 0
    assert without_times(house.answers("second")) == without_times(house.answers("first"))


def test_another_model_behind_the_same_name_is_asked_itself(house: House) -> None:
    house.run("first", cache=True)
    house.stub.fingerprint = "fp-2"
    before = len(house.stub.asked)
    finished = house.run("second", cache=True)
    assert (finished.from_cache, len(house.stub.asked)) == (0, before + 20)
    assert {one.fingerprint for one in house.answers("second")} == {"fp-2"}


def test_another_request_is_another_answer(house: House) -> None:
    house.run("first", cache=True)
    finished = house.run("second", cache=True, request={"maxTokens": 17})
    assert finished.from_cache == 0


def test_scoring_anew_asks_nothing(house: House) -> None:
    house.run()
    before = len(house.stub.asked)
    house.run(scorers={"near": {"kind": "numeric", "absolute": 100}})
    assert len(house.stub.asked) == before
    assert {tuple(one.scores) for one in house.answers()} == {("near",)}
    assert mean_rows(house.answers())[0]["score"] == 1.0


def test_scoring_anew_needs_no_budget(house: House) -> None:
    house.run(budget={"tokens": 320}, until_spent=True)
    asked = len(house.stub.asked)
    assert asked == 20
    finished = house.run(budget={"tokens": 320}, scorers={"any": {"kind": "regex", "pattern": "."}})
    assert (finished.outcomes, len(house.stub.asked)) == ({"answered": 20}, asked)


def test_samples_are_asked_each_with_its_seed(house: House) -> None:
    house.lines = SUMS[:1]
    house.run(samples=3, request={"maxTokens": 16, "seed": 5, "temperature": 1})
    assert sorted(body["seed"] for body in house.stub.asked) == [5, 6, 7]
    assert [one.sample for one in house.answers()] == [0, 1, 2]


def test_a_judge_is_paid_from_the_budget_and_asked_once(house: House) -> None:
    def judging(body: dict[str, Any]) -> Planted:
        if body["model"] == "judge":
            stands_first = question(body).split("<answer_b>")[0].split("<answer_a>")[1]
            return Planted("VERDICT: A" if "2" in stands_first else "VERDICT: B")
        return Planted("2")

    house.lines = [{"prompt": "1 + 1", "expected": "two", "id": "x"}]
    house.stub.answer = judging
    fields = {"scorers": {"better": {"kind": "rubric", "rubric": "A digit"}}, "judge": house.target(model="judge")}
    finished = house.run(**fields)
    assert (len(house.stub.asked), finished.spent.tokens) == (3, 45)
    (one,) = house.answers()
    assert (one.score, one.scores["better"].details) == (1.0, {"first": "answer", "swapped": "answer"})
    house.run(**fields | {"seed": 7})
    assert len(house.stub.asked) == 3, "neither the target nor the judge"


def test_a_judge_that_is_down_loses_no_answer(house: House) -> None:
    house.stub.answer = lambda body: error(503, "gone") if body["model"] == "judge" else adds(body)
    judge = house.target(model="judge", retries=0)
    fields = {"scorers": {"better": {"kind": "rubric", "rubric": "Right"}}, "judge": judge}
    with pytest.raises(RemoteError, match="judge"):
        house.run(**fields)
    answered = sum(body["model"] == "m" for body in house.stub.asked)
    house.stub.answer = lambda body: Planted("VERDICT: TIE") if body["model"] == "judge" else adds(body)
    assert house.run(**fields).outcomes == {"answered": 20}
    assert sum(body["model"] == "m" for body in house.stub.asked) == 20
    assert answered > 0


def test_a_suite_that_grew_asks_what_is_new(house: House) -> None:
    house.lines = SUMS[:5]
    house.run()
    house.lines = SUMS[:8]
    assert house.run().outcomes == {"answered": 8}
    assert set(house.asked.values()) == {1}
    house.lines = SUMS[:3]
    house.run()
    assert len(house.answers()) == 3, "what the suite no longer has is in no report"
