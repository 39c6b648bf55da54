"""Evaluations over HTTP: what runs found, who may read what was answered, and promotion by the command itself."""

import fcntl
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from fixtures.console import ADMIN_KEY, House, browser_of, house
from fixtures.evaluated import evaluate
from fixtures.models import add_artifact

from freehold.core.errors import EnvironmentProblem, FreeholdError
from freehold.core.store import Store
from freehold.serve.child_command import error_of, output_of
from freehold.serve.evidence import runs
from freehold.serve.evidence.holding import is_held

pytestmark = pytest.mark.slow

WORSE = {"extract": 0.0, "chat": 0.8}
API = "/admin/v1/evaluations"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an artifact, and two runs of it: one that shows that it can replace, one that it cannot."""
    home = tmp_path_factory.mktemp("evaluated")
    artifact = add_artifact(Store(home / "store"), "bot", {"config.json": b"{}"})
    evaluate(home, "good", artifact.id)
    evaluate(home, "bad", artifact.id, WORSE)
    return home


@pytest.fixture
async def running(lived: Path, tmp_path: Path) -> AsyncIterator[House]:
    home = tmp_path / "home"
    shutil.copytree(lived, home)
    async with house(home) as made:
        yield made


@pytest.fixture
async def client(running: House) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_of(running, authorization=f"Bearer {ADMIN_KEY}") as made:
        yield made


def acts(made: House) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (made.home / "audit" / "audit.jsonl").read_text().splitlines()]


async def test_runs_are_told_with_their_verdicts(client: httpx.AsyncClient) -> None:
    found = {run["name"]: run for run in (await client.get(API)).json()["data"]}
    assert found["good"]["decisions"] == {"bot": "replace"}
    assert found["bad"]["decisions"]["bot"] != "replace"
    assert (found["good"]["state"], found["good"]["answers"], found["good"]["expected"]) == ("finished", 96, 96)
    detail = (await client.get(f"{API}/bad")).json()
    assert detail["slices"] == ["kind=chat", "kind=extract"]
    worse = {each["name"]: each["difference"] for each in detail["report"]["candidates"][0]["slices"]}
    assert min(worse.values()) < -0.7


async def test_a_run_that_is_held_runs_and_one_without_an_end_was_stopped(
    running: House, client: httpx.AsyncClient
) -> None:
    folder = running.home / "evaluations" / "runs" / "bad"
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert (await client.get(f"{API}/bad")).json()["state"] == "running"
        assert is_held(folder / ".lock")
    assert not is_held(folder / ".lock")
    notes = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps({**notes, "finished": []}))
    assert (await client.get(f"{API}/bad")).json()["state"] == "stopped"


def test_a_run_that_ends_between_two_looks_was_not_stopped(running: House, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = running.home / "evaluations" / "runs" / "bad"
    ended = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps({**ended, "finished": []}))

    def ends(_: Path) -> bool:
        (folder / "environment.json").write_text(json.dumps(ended))
        return False

    monkeypatch.setattr(runs, "is_held", ends)
    assert runs.Runs(folder.parent).get("bad").state == "finished"


async def test_answers_stand_side_by_side_with_the_largest_losses_first(
    running: House, client: httpx.AsyncClient
) -> None:
    told = (await client.get(f"{API}/bad/answers", params={"slice": "kind=extract", "limit": 5})).json()
    assert (told["total"], told["has_more"], len(told["data"])) == (24, True, 5)
    first = told["data"][0]
    assert first["lost"] == 1 and first["slices"] == {"kind": "extract"}
    assert [(side["target"], side["text"], side["score"]) for side in first["sides"]] == [
        ("closed", "right", 1.0),
        ("bot", "wrong", 0.0),
    ]
    assert [(act["act"], act["target"]) for act in acts(running)] == [("evaluations.read", "bad")]


async def test_the_scores_so_far_are_told_while_a_run_goes_on(running: House, client: httpx.AsyncClient) -> None:
    answers = running.home / "evaluations" / "runs" / "bad" / "answers.jsonl"
    lines = [json.loads(line) for line in answers.read_text().splitlines()]
    closed = [line for line in lines if line["target"] == "closed"]
    bot = [line for line in lines if line["target"] == "bot"][:3]
    closed = [{**line, "outcome": "answered", "scores": {"right": {"value": 1.0}}} for line in closed]
    bot[1]["outcome"], bot[2]["outcome"] = "failed", "skipped"
    bot[0]["scores"]["right"]["value"] = 1.0
    answers.write_text("".join(f"{json.dumps(line)}\n" for line in [*bot, *closed]) + '{"torn": ')

    told = (await client.get(f"{API}/bad/curve")).json()
    assert told["answers"] == list(range(1, 49))
    assert told["targets"]["closed"] == [1.0] * 48
    assert told["targets"]["bot"] == [1.0, 0.5, *[None] * 46], "no answer counts as 0, a skipped one as nothing"


async def test_a_long_run_is_told_in_few_points(running: House, client: httpx.AsyncClient) -> None:
    answers = running.home / "evaluations" / "runs" / "good" / "answers.jsonl"
    answers.write_text(answers.read_text() * 10)
    told = (await client.get(f"{API}/good/curve")).json()
    assert (len(told["answers"]), told["answers"][-1]) == (200, 480)
    assert {len(each) for each in told["targets"].values()} == {200}


async def test_the_report_has_no_origin(client: httpx.AsyncClient) -> None:
    page = await client.get(f"{API}/good/report")
    assert page.status_code == 200 and "<html" in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'") and "allow-same-origin" not in policy


async def test_promotion_makes_the_verdict_part_of_the_lineage(running: House, client: httpx.AsyncClient) -> None:
    store = Store(running.home / "store")
    artifact = store.get("bot")
    done = await client.post(f"{API}/promote", json={"artifact": artifact.id, "runs": ["good"], "suites": ["good"]})
    assert done.status_code == 200, done.text
    assert done.json()["evaluations"][0]["decision"] == "replace"
    assert store.get("bot").lineage.evaluation("good") is not None
    (act,) = acts(running)
    assert (act["act"], act["target"], act["outcome"]) == ("evaluations.promote", artifact.id, "done")


async def test_what_speaks_against_it_refuses_a_promotion(running: House, client: httpx.AsyncClient) -> None:
    store = Store(running.home / "store")
    other = add_artifact(store, "other", {"config.json": b"[]"})
    for body, says in (
        ({"artifact": store.get("bot").id, "runs": ["good", "bad"]}, "is not promoted: bad"),
        ({"artifact": other.id, "runs": ["good"]}, "is no run of other"),
    ):
        refused = await client.post(f"{API}/promote", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "refused")
        assert says in refused.json()["error"]["message"]
    assert store.get("bot").lineage.evaluations == ()
    assert [act["outcome"] for act in acts(running)] == ["refused", "refused"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"artifact": "--run", "runs": ["good"]}, 400),
        ({"artifact": "bot", "runs": []}, 400),
        ({"artifact": "bot", "runs": ["good"], "suites": ["--accept-slices"]}, 400),
        ({"artifact": "bot", "runs": ["../../store"]}, 404),
    ],
)
async def test_words_for_the_command_cannot_be_smuggled_in(
    client: httpx.AsyncClient, body: dict[str, Any], status: int
) -> None:
    assert (await client.post(f"{API}/promote", json=body)).status_code == status


async def test_viewers_see_numbers_operators_answers_and_administrators_what_clients_said(running: House) -> None:
    suite = running.home / "evaluations" / "runs" / "bad" / "suite.yaml"
    read = yaml.safe_load(suite.read_text())
    suite.write_text(yaml.safe_dump({**read, "prompts": [{"recorded": "chat"}]}))
    promotion = {"artifact": "bot", "runs": ["none-such"]}
    expected = {
        "app": (403, 403, 403, 403),
        "viewer": (200, 403, 403, 403),
        "operator": (200, 200, 403, 404),
        "admin": (200, 200, 200, 404),
    }
    for role, (numbers, answers, recorded, promoted) in expected.items():
        secret = running.key(role)  # type: ignore[arg-type]
        async with browser_of(running, authorization=f"Bearer {secret}") as asking:
            assert (await asking.get(f"{API}/good")).status_code == numbers, role
            assert (await asking.get(f"{API}/good/answers")).status_code == answers, role
            assert (await asking.get(f"{API}/bad/report")).status_code == recorded, role
            assert (await asking.post(f"{API}/promote", json=promotion)).status_code == promoted, role
    outcomes = {(act["target"], act["outcome"]) for act in acts(running)}
    assert {("bad", "refused"), ("bad", "done"), ("bot", "refused")} <= outcomes


async def test_a_command_ends_in_time_and_its_error_is_told() -> None:
    with pytest.raises(EnvironmentProblem, match="took too long"):
        await output_of(("sleep", "60"), {"PATH": "/usr/bin:/bin"}, 0.2)
    refused = error_of(4, "Reading …\nfreehold: x is not promoted: why\nDo this.\n")
    assert (str(refused), refused.http_status, refused.code) == ("x is not promoted: why\nDo this.", 403, "refused")
    assert (error_of(1, "Traceback").http_status, error_of(-9, "").http_status) == (500, 503)
    assert isinstance(error_of(200, ""), FreeholdError)
