"""The gateway in front of a model's replicas: who is asked, what happens when one ends, and while there is none."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fixtures.house import ADMIN, ADMIN_SECRET
from fixtures.replicas import CHAT, Replicas, ask, metric, until
from fixtures.stub_engine import SSE, Call

from freehold.serve.adapters.status import AdapterPhase
from freehold.serve.engines.engine import EngineState
from freehold.serve.gateway.winding import ABORT_PATH

pytestmark = pytest.mark.slow

ONE, TWO, THREE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
TURNS = {"gateway": {"port": 0, "drainTimeoutS": 1, "spreading": "round-robin"}}
"""For tests of what becomes of requests at each of the replicas; by default equal requests go to the same one."""
HELD = 'freehold_requests_held{model="tiny"}'


async def answer(call: Call) -> None:
    """A chat completion that says where it was made."""
    message = {"role": "assistant", "content": call.header("host")}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    await call.reply(json.dumps({"object": "chat.completion", "choices": choices, "usage": usage}).encode())


async def die(call: Call) -> None:
    """The engine ends with the request in hand."""
    call.die()


def place(body: Any) -> str:
    """Where an answer was made."""
    return str(body["choices"][0]["message"]["content"]).partition(":")[0]


async def test_replicas_take_turns(replicas: Replicas, tmp_path: Path) -> None:
    for address in (ONE, TWO, THREE):
        await replicas.start(address, answer)
    async with replicas.fronted(tmp_path, TURNS) as client:
        seen = Counter([place((await ask(client))[1]) for _ in range(12)])
        assert seen == {ONE: 4, TWO: 4, THREE: 4}


async def test_the_one_with_the_fewest_requests_is_asked(replicas: Replicas, tmp_path: Path) -> None:
    release = asyncio.Event()

    async def wait(call: Call) -> None:
        if "wait" in call.json:
            await release.wait()
        await answer(call)

    busy = await replicas.start(ONE, wait)
    async with replicas.fronted(tmp_path) as client:
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(ask(client, wait=1)) for _ in range(3)]
            await until(lambda: len(busy.asked) == 3)
            await replicas.start(TWO, answer)
            await until(lambda: _is_ready(client, "tiny"))
            await until(lambda: _replies_from(client, TWO))
            assert [place((await ask(client))[1]) for _ in range(5)] == [TWO] * 5
            release.set()
        assert {place(task.result()[1]) for task in waiting} == {ONE}


async def _is_ready(client: Any, model: str) -> bool:
    async with client.get("/ready") as page:
        return bool((await page.json())["models"][model]["state"] == "ready")


async def _replies_from(client: Any, address: str) -> bool:
    return place((await ask(client))[1]) == address


async def test_one_that_refuses_is_followed_by_another(replicas: Replicas, tmp_path: Path) -> None:
    one, two = await replicas.start(ONE, answer), await replicas.start(TWO, answer)
    async with replicas.fronted(tmp_path) as client:
        assert (await ask(client))[0] == 200
        await replicas.end(one, is_listed=True)
        for _ in range(4):
            status, body = await ask(client)
            assert (status, place(body)) == (200, TWO)
        assert await metric(client, 'freehold_requests_total{model="tiny"') == 5.0, "each request counts once"
        await replicas.end(two)


async def test_one_that_is_lost_with_the_request_is_followed_by_one_other(replicas: Replicas, tmp_path: Path) -> None:
    stubs = [await replicas.start(ONE, die), await replicas.start(TWO, answer)]
    async with replicas.fronted(tmp_path, TURNS) as client:
        for _ in range(4):
            status, body = await ask(client)
            assert (status, place(body)) == (200, TWO)
        assert stubs[0].asked


async def test_a_request_that_ends_engines_ends_two_at_most(replicas: Replicas, tmp_path: Path) -> None:
    stubs = [await replicas.start(address, die) for address in (ONE, TWO, THREE)]
    async with replicas.fronted(tmp_path, holdS=20) as client:
        status, body = await ask(client)
        assert (status, body["error"]["code"]) == (502, "engine_lost")
        assert sum(len(stub.asked) for stub in stubs) == 2


async def test_what_a_replica_answers_is_the_answer(replicas: Replicas, tmp_path: Path) -> None:
    async def fail(call: Call) -> None:
        await call.reply(b'{"error": {"message": "no"}}', status=500)

    stubs = [await replicas.start(address, fail) for address in (ONE, TWO)]
    async with replicas.fronted(tmp_path) as client:
        assert (await ask(client))[0] == 500
        assert sum(len(stub.asked) for stub in stubs) == 1


async def test_an_abort_goes_to_the_replica_that_has_the_request(replicas: Replicas, tmp_path: Path) -> None:
    stopped = asyncio.Event()

    async def stream(call: Call) -> None:
        if call.target.encode() == ABORT_PATH:
            stopped.set()
            await call.reply(b"")
            return
        await call.start(content_type=SSE)
        await call.chunk(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
        await stopped.wait()
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        await call.chunk(f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n".encode())
        await call.end()

    stubs = [await replicas.start(address, stream) for address in (ONE, TWO, THREE)]
    async with replicas.fronted(tmp_path) as client:
        for _ in range(6):
            for stub in stubs:
                stub.engine.calls.clear()
            stopped.clear()
            async with client.post(CHAT, json={"model": "tiny", "stream": True, "messages": []}) as reply:
                await reply.content.readany()
                reply.close()
            await stopped.wait()
            (holder,) = [stub for stub in stubs if stub.asked]
            aborted = [stub for stub in stubs for call in stub.engine.calls if call.target.encode() == ABORT_PATH]
            assert aborted == [holder]
        await until(lambda: _counts(client, 'freehold_completion_tokens_total{model="tiny"}', 18.0))


async def _counts(client: Any, line: str, value: float) -> bool:
    return await metric(client, line) == value


async def test_a_stored_response_is_asked_of_the_replica_that_holds_it(replicas: Replicas, tmp_path: Path) -> None:
    def storing(address: str) -> Any:
        async def store(call: Call) -> None:
            body = {"id": f"resp_{address.replace('.', '_')}", "object": "response", "at": address, "usage": {}}
            await call.reply(json.dumps(body).encode())

        return store

    stubs = [await replicas.start(address, storing(address)) for address in (ONE, TWO, THREE)]
    async with replicas.fronted(tmp_path, TURNS) as client:
        for _ in range(6):
            async with client.post("/v1/responses", json={"model": "tiny", "input": "hi"}) as reply:
                made = await reply.json()
            async with client.get(f"/v1/responses/{made['id']}") as reply:
                assert (reply.status, (await reply.json())["at"]) == (200, made["at"])
            follow_up = {"model": "tiny", "input": "and?", "previous_response_id": made["id"]}
            async with client.post("/v1/responses", json=follow_up) as reply:
                assert (await reply.json())["at"] == made["at"], "no other one knows what was said before"
        gone = stubs[0]
        await replicas.end(gone)
        await until(lambda: _is_lost(client, f"resp_{gone.address.replace('.', '_')}"))


async def _is_lost(client: Any, response_id: str) -> bool:
    async with client.get(f"/v1/responses/{response_id}") as reply:
        return bool(reply.status == 404)


async def test_one_that_is_not_proven_never_gets_a_request(replicas: Replicas, tmp_path: Path) -> None:
    wrong, right = await replicas.start(ONE, answer), await replicas.start(TWO, answer)
    wrong.engine.state, wrong.engine.detail = EngineState.FAILED, "the golden probe refused it"
    async with replicas.fronted(tmp_path) as client:
        for _ in range(6):
            assert place((await ask(client))[1]) == TWO
        right.engine.state, right.engine.detail = EngineState.UNREACHABLE, "gone"
        await until(lambda: _is_refused(client, "the golden probe refused it; gone"))
        assert wrong.asked == []


async def _is_refused(client: Any, why: str) -> bool:
    status, body = await ask(client)
    return status == 503 and why in body["error"]["message"]


async def test_an_attendant_of_another_model_is_not_believed(replicas: Replicas, tmp_path: Path) -> None:
    stranger = await replicas.start(ONE, answer)
    stranger.engine.name = "large"
    async with replicas.fronted(tmp_path) as client:
        assert await _is_refused(client, "attends 'large'")


async def test_a_silent_attendant_is_one_that_is_gone(replicas: Replicas, tmp_path: Path) -> None:
    replica = await replicas.start(ONE, answer)
    async with replicas.fronted(tmp_path) as client:
        assert (await ask(client))[0] == 200

        async def break_off(call: Call) -> None:
            call.die()

        replica.attendant.answer = break_off
        await until(lambda: _is_refused(client, "does not answer"))


async def test_while_dns_says_nothing_the_known_ones_are_asked(replicas: Replicas, tmp_path: Path) -> None:
    await replicas.start(ONE, answer)
    async with replicas.fronted(tmp_path) as client:
        assert (await ask(client))[0] == 200
        replicas.addresses = None
        await asyncio.sleep(0.2)
        assert (await ask(client))[0] == 200


# -- asleep ------------------------------------------------------------------------------------------------------------


async def test_a_request_for_a_sleeping_model_is_held_and_answered(replicas: Replicas, tmp_path: Path) -> None:
    async with replicas.fronted(tmp_path, holdS=30) as client:
        async with client.get("/ready") as page:
            assert page.status == 200, "models that sleep do not keep the gateway from being asked"
            assert (await page.json())["models"]["tiny"]["state"] == "asleep"
        assert await metric(client, HELD) == 0.0, "an autoscaler needs the series before there is a request"
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(ask(client)) for _ in range(3)]
            await until(lambda: _counts(client, HELD, 3.0))
            await replicas.start(ONE, answer)
        assert [task.result()[0] for task in asked] == [200, 200, 200]
        assert await metric(client, HELD) == 0.0
        assert await metric(client, 'freehold_requests_total{model="tiny"') == 3.0


async def test_a_request_that_the_last_replica_refused_is_held(replicas: Replicas, tmp_path: Path) -> None:
    last = await replicas.start(ONE, answer)
    async with replicas.fronted(tmp_path, holdS=30) as client:
        assert (await ask(client))[0] == 200
        await last.stack.aclose()
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(ask(client))
            await until(lambda: _counts(client, HELD, 1.0))
            await replicas.start(TWO, answer)
        assert (asked.result()[0], place(asked.result()[1])) == (200, TWO)
        assert await metric(client, 'freehold_requests_total{model="tiny"') == 2.0


async def test_who_is_held_too_long_is_told_to_come_back(replicas: Replicas, tmp_path: Path) -> None:
    async with (
        replicas.fronted(tmp_path, holdS=0.1) as client,
        client.post(CHAT, json={"model": "tiny", "messages": []}) as reply,
    ):
        assert reply.status == 503 and int(reply.headers["retry-after"]) > 0
        error = (await reply.json())["error"]
        assert error["code"] == "model_not_ready" and "did not become ready within" in error["message"]
        assert await metric(client, HELD) == 0.0
        line = f'freehold_requests_total{{model="tiny",path="{CHAT}",status="503"}}'
        assert await metric(client, line) == 1.0


async def test_without_holding_the_answer_comes_at_once(replicas: Replicas, tmp_path: Path) -> None:
    async with replicas.fronted(tmp_path) as client:
        status, body = await ask(client)
        assert (status, body["error"]["code"]) == (503, "model_not_ready")
        assert await metric(client, HELD) is None


async def test_no_more_are_held_than_the_limit(replicas: Replicas, tmp_path: Path) -> None:
    async with replicas.fronted(tmp_path, holdS=30, maxHeld=2) as client:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(ask(client)) for _ in range(2)]
            await until(lambda: _counts(client, HELD, 2.0))
            status, body = await ask(client)
            assert status == 503 and "2 requests wait for it already" in body["error"]["message"]
            await replicas.start(ONE, answer)
        assert [task.result()[0] for task in asked] == [200, 200]


async def test_a_client_that_leaves_is_held_no_longer(replicas: Replicas, tmp_path: Path) -> None:
    async with replicas.fronted(tmp_path, holdS=30) as client:
        asked = asyncio.create_task(ask(client))
        await until(lambda: _counts(client, HELD, 1.0))
        asked.cancel()
        await until(lambda: _counts(client, HELD, 0.0))
        replica = await replicas.start(ONE, answer)
        assert (await ask(client))[0] == 200
        assert len(replica.asked) == 1, "what nobody waits for is not asked"
        line = f'freehold_requests_total{{model="tiny",path="{CHAT}",status="499"}}'
        assert await metric(client, line) == 1.0


async def test_a_gateway_that_stops_says_so_to_those_it_holds(replicas: Replicas, tmp_path: Path) -> None:
    gateway = {"gateway": {"port": 0, "drainTimeoutS": 0.1}}
    async with replicas.fronted(tmp_path, gateway, holdS=30) as client:
        asked = asyncio.create_task(ask(client))
        await until(lambda: _counts(client, HELD, 1.0))
    status, body = await asked
    assert (status, body["error"]["code"]) == (503, "shutting_down")


async def test_a_route_goes_on_to_its_fallback_at_once(replicas: Replicas, tmp_path: Path) -> None:
    deployment = {
        "models": {
            "tiny": {"artifact": "tiny"},
            "other": {"engine": {"kind": "remote", "baseUrl": f"http://{TWO}:{replicas.port}", "model": "tiny"}},
        },
        "routes": {"chat": {"targets": {"tiny": 1}, "fallback": ["other"]}},
    }
    await replicas.start(TWO, answer, is_listed=False)
    async with replicas.fronted(tmp_path, deployment, holdS=30) as client:
        await until(lambda: _is_ready(client, "other"))
        status, body = await ask(client, "chat")
        assert (status, place(body)) == (200, TWO)
        assert await metric(client, 'freehold_fallbacks_total{model="tiny"') == 1.0


# -- adapters ----------------------------------------------------------------------------------------------------------


async def _models(client: Any) -> list[str]:
    async with client.get("/v1/models") as page:
        return [entry["id"] for entry in (await page.json())["data"]]


async def test_adapters_come_and_go_and_are_asked_where_they_are(replicas: Replicas, tmp_path: Path) -> None:
    one, two = await replicas.start(ONE, answer), await replicas.start(TWO, answer)
    async with replicas.fronted(tmp_path) as client:
        assert (await ask(client, "support"))[0] == 404
        two.load("support")
        one.load("support", AdapterPhase.LOADING)
        await until(lambda: _has(client, "support"))
        for _ in range(4):
            status, body = await ask(client, "support")
            assert (status, place(body)) == (200, TWO)
        assert {call.json["model"] for call in two.asked} == {"support@0123"} and not one.asked
        async with client.get("/v1/models/support") as page:
            shown = await page.json()
            assert (shown["parent"], shown["root"]) == ("tiny", "support-1")
        one.adapters.clear()
        two.adapters.clear()
        await until(lambda: _lacks(client, "support"))
        assert (await ask(client, "support"))[0] == 404


async def _has(client: Any, model: str) -> bool:
    return model in await _models(client)


async def _lacks(client: Any, model: str) -> bool:
    return model not in await _models(client)


async def test_a_sleeping_models_adapters_are_held_too(replicas: Replicas, tmp_path: Path) -> None:
    replica = await replicas.start(ONE, answer)
    replica.load("support")
    adapters = {"configured": {"artifact": "configured"}}
    deployment = {"models": {"tiny": {"artifact": "tiny", "adapters": adapters}}}
    async with replicas.fronted(tmp_path, deployment, holdS=30) as client:
        assert (await ask(client, "support"))[0] == 200
        await replicas.end(replica)
        await until(lambda: _is_asleep(client))
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(ask(client, name)) for name in ("support", "configured")]
            await until(lambda: _counts(client, HELD, 2.0))
            again = await replicas.start(TWO, answer, is_listed=False)
            again.load("support")
            again.load("configured")
            replicas.addresses = [TWO]
        assert [task.result()[0] for task in asked] == [200, 200]


async def _is_asleep(client: Any) -> bool:
    async with client.get("/ready") as page:
        return bool((await page.json())["models"]["tiny"]["state"] == "asleep")


# -- besides -----------------------------------------------------------------------------------------------------------


async def test_copies_for_a_candidate_are_spread_too(replicas: Replicas, tmp_path: Path) -> None:
    stubs = [await replicas.start(address, answer) for address in (ONE, TWO)]
    deployment = {
        "models": {
            "tiny": {"artifact": "tiny"},
            "other": {"engine": {"kind": "remote", "baseUrl": f"http://{THREE}:{replicas.port}", "model": "tiny"}},
        },
        "routes": {"chat": {"targets": {"other": 1}, "shadow": {"target": "tiny", "percent": 100}}},
    }
    await replicas.start(THREE, answer, is_listed=False)
    async with replicas.fronted(tmp_path, deployment) as client:
        await until(lambda: _is_ready(client, "other"))
        for count in range(1, 5):
            assert place((await ask(client, "chat"))[1]) == THREE
            await until(lambda count=count: sum(len(stub.asked) for stub in stubs) == count)
        assert [len(stub.asked) for stub in stubs] == [2, 2]


async def test_a_canary_on_replicas_is_judged(replicas: Replicas, tmp_path: Path) -> None:
    async def fail(call: Call) -> None:
        await call.reply(b"{}", status=500)

    await replicas.start(ONE, fail)
    await replicas.start(THREE, answer, is_listed=False)
    canary = {"target": "tiny", "percent": 99, "minRequests": 2, "maxErrorRate": 0.1}
    deployment = {
        "models": {
            "tiny": {"artifact": "tiny"},
            "other": {"engine": {"kind": "remote", "baseUrl": f"http://{THREE}:{replicas.port}", "model": "tiny"}},
        },
        "routes": {"chat": {"targets": {"other": 1}, "canary": canary, "sticky": "none"}},
    }
    async with replicas.fronted(tmp_path, deployment) as client:
        await until(lambda: _is_ready(client, "other"))
        for _ in range(50):  # all but one in a hundred go to the newcomer first
            assert place((await ask(client, "chat"))[1]) == THREE
        assert await metric(client, 'freehold_canary_rolled_back{route="chat"}') == 1.0


async def test_an_administrator_names_an_adapter_that_only_the_replicas_have(
    replicas: Replicas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN", ADMIN_SECRET)
    deployment = {"gateway": {"port": 0, "adminKeyFrom": {"env": "ADMIN"}}}
    async with replicas.fronted(tmp_path, deployment) as client:
        place = "/admin/v1/models/tiny/adapters"
        async with client.post(place, json={"name": "support", "artifact": "support-1"}, headers=ADMIN) as reply:
            assert reply.status == 201, await reply.text()
            assert (await reply.json())["artifact"] == "support-1"
        async with client.get(f"{place}/support", headers=ADMIN) as reply:
            assert (await reply.json())["state"] == "loading"
        await until(lambda: _has(client, "support"))
    async with replicas.fronted(tmp_path, deployment, holdS=30) as client:  # a gateway that was started since
        await until(lambda: _has(client, "support"))
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(ask(client, "support"))
            await until(lambda: _counts(client, HELD, 1.0))
            replica = await replicas.start(ONE, answer)
            await until(lambda: _is_ready(client, "tiny"))
            await asyncio.sleep(0.1)  # ready without it, which is no reason to forget it
            assert await _has(client, "support")
            replica.load("support")
        assert asked.result()[0] == 200
