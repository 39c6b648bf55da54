"""One request to an endpoint: the answer, a refusal, or why it is worth sending again."""

import json
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx

from freehold.core.errors import AccessDeniedError, RemoteError
from freehold.evaluate.results.record import Usage
from freehold.evaluate.targets.endpoint import Endpoint
from freehold.evaluate.targets.reply import Reply

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"

_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
_LONGEST_ERROR = 500


@dataclass(frozen=True)
class Again:
    """There is no answer, and asking again may bring one."""

    why: str
    may_be_billed: bool
    """The endpoint had the whole request, and may have answered into nothing."""
    after_s: float = 0.0
    """What it said with `Retry-After`."""


def client_of(endpoint: Endpoint, key: str | None) -> httpx.AsyncClient:
    """A client for one endpoint. No proxy from the environment for what is on this machine."""
    return httpx.AsyncClient(
        base_url=endpoint.base_url,
        headers={"authorization": f"Bearer {key}"} if key else {},
        timeout=httpx.Timeout(endpoint.timeout_s, connect=min(endpoint.timeout_s, 30.0)),
        limits=httpx.Limits(max_connections=endpoint.concurrency, max_keepalive_connections=endpoint.concurrency),
        trust_env=not endpoint.is_loopback,
    )


async def attempt(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Reply | Again:
    """Send it once. Raises AccessDeniedError and RemoteError for what no request of this run will get past."""
    started = time.monotonic()
    try:
        response = await client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        return Again(f"no connection: {str(error) or type(error).__name__}", may_be_billed=False)
    except httpx.TimeoutException:
        return Again(f"no answer within {client.timeout.read:.0f} s", may_be_billed=True)
    except httpx.TransportError as error:
        return Again(f"the connection was lost: {str(error) or type(error).__name__}", may_be_billed=True)
    latency_s = time.monotonic() - started
    if response.status_code != HTTPStatus.OK:
        return _not_ok(response, body)
    return _answer(response, latency_s)


def _not_ok(response: httpx.Response, body: dict[str, Any]) -> Reply | Again:
    said = _message(response)
    status = response.status_code
    if status in _AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Again(f"{status}: {said}", may_be_billed=False, after_s=_retry_after(response))
    if status == HTTPStatus.UNAUTHORIZED:
        raise AccessDeniedError(
            f"{response.url.host} does not know us", why=said, next_step="Set the variable that `apiKeyFrom` names."
        )
    if status == HTTPStatus.NOT_FOUND:
        raise RemoteError(
            f"{response.url} has no model {body['model']!r}",
            why=said,
            next_step="Correct `model` or `baseUrl`; GET /v1/models names those that are there.",
        )
    if status < HTTPStatus.BAD_REQUEST:
        raise RemoteError(f"{response.url} answered {status}, which is no answer of the API", why=said)
    return Reply(outcome="refused", error=f"{status}: {said}")


def _message(response: httpx.Response) -> str:
    """The endpoint's own words."""
    try:
        error = response.json()["error"]
        said = error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError):
        said = response.text
    return " ".join(str(said).split())[:_LONGEST_ERROR]


def _retry_after(response: httpx.Response) -> float:
    """Seconds, from a number or a date (RFC 9110, 10.2.3)."""
    given = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(given))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
    except ValueError:
        return 0.0


def _answer(response: httpx.Response, latency_s: float) -> Reply | Again:
    try:
        document = response.json()
        (first, *_) = document.get("choices") or document["data"]
        body = {name: first[name] for name in ("message", "finish_reason", "embedding") if first.get(name) is not None}
        if not ({"message", "embedding"} & body.keys()):
            raise KeyError("message")
        usage = _usage(document.get("usage"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"200 with a body that is no answer ({type(error).__name__}: {error}): {response.text[:100]!r}"
        return Again(why, may_be_billed=True)
    fingerprint = document.get("system_fingerprint") or response.headers.get("x-freehold-fingerprint") or ""
    return Reply(outcome="answered", body=body, fingerprint=fingerprint, usage=usage, latency_s=round(latency_s, 4))


def _usage(given: Any) -> Usage | None:
    if not isinstance(given, dict):
        return None
    details = given.get("prompt_tokens_details") or {}
    return Usage(
        prompt=given.get("prompt_tokens") or 0,
        completion=given.get("completion_tokens") or 0,
        cached=details.get("cached_tokens") or 0,
    )
