"""Refusals about keys, as the SDKs of OpenAI and Anthropic understand them: each over HTTP from a tiny application."""

from collections.abc import Awaitable, Callable

import anthropic
import openai
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from freehold.core.errors import FreeholdError, UserError
from freehold.serve.gateway.endpoints import Dialect
from freehold.serve.gateway.errors import KeysUnavailable, NotAllowed, OverLimit, Unauthorized, envelope, send_error

LIMIT = OverLimit(
    "The key's 60 requests per minute are used up",
    why="61 were sent",
    next_step="Wait 2 seconds.",
    code="rate_limit_exceeded",
    retry_after_s=1.2,
    headers={"x-ratelimit-limit-requests": "60"},
)
QUOTA = OverLimit(
    "The key's budget is used up",
    why="10.00 of 10.00 EUR",
    next_step="Ask for more.",
    code="insufficient_quota",
    retry_after_s=86_400,
    headers={},
)
WRONG = Unauthorized("The API key was revoked", next_step="Ask for another.")
FOREIGN = NotAllowed("The key does not reach 'tiny'", next_step="Ask for it.", code="model_not_allowed")

Listen = Callable[[FreeholdError], Awaitable[str]]


class Refusing:
    """Answers everything with one error, in the dialect of the path."""

    def __init__(self) -> None:
        self.error: FreeholdError = WRONG
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        dialect = Dialect.ANTHROPIC if scope["path"] == "/v1/messages" else Dialect.OPENAI
        await send_error(send, self.error, dialect)


@pytest.fixture
def refusing() -> Refusing:
    return Refusing()


@pytest.fixture
async def url(refusing: Refusing):  # type: ignore[no-untyped-def]
    server = uvicorn.Server(uvicorn.Config(refusing, port=0, log_level="error", lifespan="off"))
    config = server.config
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    await server.shutdown()


async def ask_openai(url: str, retries: int = 0) -> openai.APIStatusError:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=retries) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Hi"}])
    return caught.value


async def ask_anthropic(url: str, retries: int = 0) -> anthropic.APIStatusError:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="any", max_retries=retries) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(model="tiny", max_tokens=1, messages=[{"role": "user", "content": "Hi"}])
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind", "type_", "code"),
    [
        (WRONG, openai.AuthenticationError, "invalid_request_error", "invalid_api_key"),
        (FOREIGN, openai.PermissionDeniedError, "invalid_request_error", "model_not_allowed"),
        (LIMIT, openai.RateLimitError, "requests", "rate_limit_exceeded"),
        (QUOTA, openai.RateLimitError, "insufficient_quota", "insufficient_quota"),
        (KeysUnavailable("Not now"), openai.InternalServerError, "server_error", "keys_unavailable"),
    ],
)
async def test_openai_raises_its_own_error(
    error: FreeholdError, kind: type[Exception], type_: str, code: str, url: str, refusing: Refusing
) -> None:
    refusing.error = error
    raised = await ask_openai(url)
    assert type(raised) is kind
    assert (raised.type, raised.code) == (type_, code)
    assert error.what in str(raised)


@pytest.mark.parametrize(
    ("error", "kind", "type_"),
    [
        (WRONG, anthropic.AuthenticationError, "authentication_error"),
        (FOREIGN, anthropic.PermissionDeniedError, "permission_error"),
        (LIMIT, anthropic.RateLimitError, "rate_limit_error"),
        (QUOTA, anthropic.RateLimitError, "rate_limit_error"),
    ],
)
async def test_anthropic_raises_its_own_error(
    error: FreeholdError, kind: type[Exception], type_: str, url: str, refusing: Refusing
) -> None:
    refusing.error = error
    raised = await ask_anthropic(url)
    assert type(raised) is kind
    assert raised.body == {"type": "error", "error": {"type": type_, "message": f"{error}. {error.next_step}"}}


@pytest.mark.parametrize("ask", [ask_openai, ask_anthropic])
async def test_a_used_up_month_is_not_asked_again(
    ask: Callable[[str, int], Awaitable[Exception]], url: str, refusing: Refusing
) -> None:
    refusing.error = QUOTA
    await ask(url, 2)
    assert refusing.requests == 1


async def test_a_budget_that_is_only_reserved_for_now_is_asked_again(url: str, refusing: Refusing) -> None:
    refusing.error = OverLimit(
        "x", why="", next_step="", code="insufficient_quota", retry_after_s=1.0, headers={}, kind="tokens"
    )
    assert "x-should-retry" not in (await ask_openai(url)).response.headers


async def test_headers_say_what_to_do(url: str, refusing: Refusing) -> None:
    assert (await ask_openai(url)).response.headers["www-authenticate"] == "Bearer"
    refusing.error = LIMIT
    headers = (await ask_openai(url)).response.headers
    assert (headers["retry-after"], headers["x-ratelimit-limit-requests"]) == ("2", "60")
    assert "x-should-retry" not in headers


@pytest.mark.parametrize(("retry_after_s", "header"), [(0.0, "1"), (0.4, "1"), (1.0, "1"), (59.01, "60")])
async def test_the_wait_is_in_whole_seconds(retry_after_s: float, header: str, url: str, refusing: Refusing) -> None:
    refusing.error = OverLimit(
        "x", why="", next_step="", code="rate_limit_exceeded", retry_after_s=retry_after_s, headers={}, kind="tokens"
    )
    raised = await ask_openai(url)
    assert (raised.response.headers["retry-after"], raised.type) == (header, "tokens")


def test_a_body_that_is_too_large_has_its_own_type() -> None:
    class TooLarge(UserError):
        http_status = 413

    assert envelope(TooLarge("x"), Dialect.ANTHROPIC)["error"]["type"] == "request_too_large"
