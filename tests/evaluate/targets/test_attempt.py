"""One request: what an endpoint can say, and what that means."""

import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
from fixtures.stub_openai import Planted, StubOpenAI, error

from freehold.core.errors import AccessDeniedError, RemoteError
from freehold.evaluate.results.record import Usage
from freehold.evaluate.targets.attempt import CHAT, EMBEDDINGS, Again, attempt, client_of
from freehold.evaluate.targets.endpoint import Endpoint
from freehold.evaluate.targets.reply import Reply

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def stub() -> Iterator[StubOpenAI]:
    with StubOpenAI(lambda body: Planted("Hi")).listening() as stub:
        yield stub


async def ask(stub: StubOpenAI, planted: Planted | None = None, path: str = CHAT, **endpoint: Any) -> Reply | Again:
    if planted is not None:
        stub.answer = lambda body: planted
    async with client_of(Endpoint(base_url=stub.url, model="m", **endpoint), "the-key") as client:
        return await attempt(client, path, BODY)


async def test_an_answer_with_all_that_is_known_of_it(stub: StubOpenAI) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}}
    reply = await ask(stub, Planted("Hi", usage=usage))
    assert isinstance(reply, Reply)
    assert (reply.outcome, reply.text, reply.fingerprint) == ("answered", "Hi", "fp-1")
    assert reply.usage == Usage(prompt=9, completion=4, cached=8)
    assert reply.latency_s is not None
    assert reply.latency_s > 0
    assert stub.asked[0]["authorization"] == "Bearer the-key"
    assert {name: stub.asked[0][name] for name in BODY} == BODY


async def test_tool_calls_and_an_embedding(stub: StubOpenAI) -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    reply = await ask(stub, Planted(message={"role": "assistant", "content": None, "tool_calls": calls}))
    assert isinstance(reply, Reply)
    assert (reply.text, reply.message["tool_calls"]) == ("", calls)
    reply = await ask(stub, Planted(body={"data": [{"embedding": [0.5], "index": 0}]}), EMBEDDINGS)
    assert isinstance(reply, Reply)
    assert (reply.body, reply.usage) == ({"embedding": [0.5]}, None)


async def test_the_fingerprint_of_a_gateway_is_in_its_header(stub: StubOpenAI) -> None:
    body = {"choices": [{"message": {"role": "assistant", "content": "Hi"}}]}
    reply = await ask(stub, Planted(body=body, headers={"x-freehold-fingerprint": "artifact-7"}))
    assert isinstance(reply, Reply)
    assert reply.fingerprint == "artifact-7"


@pytest.mark.parametrize("status", [400, 403, 413, 422])
async def test_4xx_is_a_refusal_in_the_engines_own_words(stub: StubOpenAI, status: int) -> None:
    reply = await ask(stub, error(status, "context length is\n2048"))
    assert isinstance(reply, Reply)
    assert (reply.outcome, reply.error) == ("refused", f"{status}: context length is 2048")


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 529])
async def test_what_may_pass_is_worth_another_try_and_costs_nothing(stub: StubOpenAI, status: int) -> None:
    again = await ask(stub, error(status, "busy"))
    assert again == Again(f"{status}: busy", may_be_billed=False)


async def test_retry_after_in_seconds_and_as_a_date(stub: StubOpenAI) -> None:
    again = await ask(stub, error(429, "slow down", retry_after="7"))
    assert isinstance(again, Again)
    assert again.after_s == 7
    again = await ask(stub, error(429, "slow down", retry_after=formatdate(time.time() + 90, usegmt=True)))
    assert isinstance(again, Again)
    assert 60 < again.after_s <= 91
    again = await ask(stub, error(429, "slow down", retry_after="soon"))
    assert isinstance(again, Again)
    assert again.after_s == 0


async def test_a_connection_that_breaks_after_the_request_may_be_billed(stub: StubOpenAI) -> None:
    again = await ask(stub, Planted(breaks=True))
    assert isinstance(again, Again)
    assert again.may_be_billed


async def test_no_answer_in_time_may_be_billed(stub: StubOpenAI) -> None:
    import threading

    again = await ask(stub, Planted("late", waits=threading.Event()), timeout_s=3)
    assert isinstance(again, Again)
    assert (again.may_be_billed, "no answer within" in again.why) == (True, True)


async def test_no_connection_is_not_billed() -> None:
    async with client_of(Endpoint(base_url="http://127.0.0.1:1", model="m"), None) as client:
        again = await attempt(client, CHAT, BODY)
    assert isinstance(again, Again)
    assert (again.may_be_billed, "no connection" in again.why) == (False, True)


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [{}]}, {"choices": [{"text": "x"}]}, {"choices": 3}])
async def test_200_without_an_answer_is_none(stub: StubOpenAI, body: dict[str, Any]) -> None:
    again = await ask(stub, Planted(body=body))
    assert isinstance(again, Again)
    assert "is no answer" in again.why


async def test_a_wrong_key_or_model_ends_the_run(stub: StubOpenAI) -> None:
    with pytest.raises(AccessDeniedError, match="no such key"):
        await ask(stub, error(401, "no such key"))
    with pytest.raises(RemoteError, match="no model 'm'"):
        await ask(stub, error(404, "not found"))
    with pytest.raises(RemoteError, match="no answer of the API"):
        await ask(stub, Planted(status=302, body={}, headers={"location": "http://127.0.0.1:1/"}))
