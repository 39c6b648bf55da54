"""The gateway's own API, asked in this process with the rights of whoever looks at a page."""

from collections.abc import Mapping
from typing import Any

import httpx
from fastapi import Request

from freehold.core.errors import FreeholdError
from freehold.serve.gateway.key_headers import TOKEN_HEADER

Query = Mapping[str, str | int | bool | list[str] | None]
BASE_URL = "http://console"


class ApiError(FreeholdError):
    """What the API refused, in its own words."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.http_status = status
        self.code = code


class Api:
    """Requests of one page, through the same routes, checks and audit that a script meets."""

    def __init__(self, request: Request, token: str) -> None:
        """`token` is the session's; without it the API takes no session."""
        self._request = request
        self._headers = {TOKEN_HEADER.decode(): token, "cookie": request.headers.get("cookie", "")}

    async def get(self, path: str, **query: Any) -> Any:
        """The answer's JSON; a query's None is left out. Raises ApiError."""
        return (await self.send("GET", path, query=query)).json()

    async def post(self, path: str, body: Any = None) -> Any:
        """The same of a POST."""
        return (await self.send("POST", path, body=body)).json()

    async def patch(self, path: str, body: Any) -> Any:
        """The same of a PATCH."""
        return (await self.send("PATCH", path, body=body)).json()

    async def delete(self, path: str) -> Any:
        """The same of a DELETE."""
        return (await self.send("DELETE", path)).json()

    async def send(self, method: str, path: str, *, query: Query | None = None, body: Any = None) -> httpx.Response:
        """The answer as it came, which is none of an error. Raises ApiError."""
        client = self._request.client
        transport = httpx.ASGITransport(
            self._request.app, raise_app_exceptions=False, client=(client.host, client.port) if client else ("", 0)
        )
        wanted = {name: value for name, value in (query or {}).items() if value is not None}
        async with httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers=self._headers) as asked:
            answer = await asked.request(method, path, params=wanted, json=body)
        if answer.is_error:
            raise _refusal(answer)
        return answer


def _refusal(answer: httpx.Response) -> ApiError:
    error = answer.json()["error"]
    return ApiError(answer.status_code, error["message"], error.get("code") or "")
