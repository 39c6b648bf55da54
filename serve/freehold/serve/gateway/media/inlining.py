"""From a request that names files by URL to one that has them in it."""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

from freehold.serve.config import MediaConfig
from freehold.serve.gateway.errors import RequestError
from freehold.serve.gateway.media.addresses import CheckedResolver, IsAllowed, Resolve, is_public, resolve_host
from freehold.serve.gateway.media.fetching import Allowance, Fetcher, MediaFile
from freehold.serve.gateway.media.places import Place, find_places, may_name_urls
from freehold.serve.gateway.media.policy import refused

_FETCHES_AT_ONCE = 4
_MAX_URLS = 64
"""Different URLs in one request; without a limit a body of 64 MiB could name a million."""

_Key = tuple[str, bool]


class MediaInliner:
    """Replaces URLs in JSON bodies by what they point to. One serves all requests of a gateway."""

    def __init__(
        self, config: MediaConfig, *, is_allowed_address: IsAllowed = is_public, resolve: Resolve = resolve_host
    ) -> None:
        self._max_total_bytes = _FETCHES_AT_ONCE * config.max_bytes
        self._fetcher = Fetcher(config, CheckedResolver(resolve, is_allowed_address))

    is_concerned = staticmethod(may_name_urls)
    """Whether a JSON body has to go through `inline`; half a microsecond for a small one."""

    async def inline(self, body: bytes) -> bytes:
        """The JSON body with every URL replaced by a `data:` URL, or the same bytes if there is none.

        Raises RequestError: 400 with `media_refused`, `media_unreachable` or `invalid_json`.
        """
        document, is_ambiguous = _parse(body)
        places = _find(document)
        if places:
            await self._fill(places)
        elif not is_ambiguous:
            return body
        # ASCII, since half of a surrogate pair has no other form.
        return json.dumps(document, separators=(",", ":")).encode()

    async def _fill(self, places: Sequence[Place]) -> None:
        wanted: dict[_Key, list[Place]] = {}
        for place in places:
            wanted.setdefault((place.url, place.takes_documents), []).append(place)
        if len(wanted) > _MAX_URLS:
            raise refused(places[-1].param, f"the request names more than {_MAX_URLS} URLs")
        for group, file in zip(wanted.values(), await self._fetch(list(wanted.values())), strict=True):
            encoded = base64.b64encode(file.content).decode()
            for place in group:
                place.put(file.media_type, encoded)

    async def _fetch(self, groups: list[list[Place]]) -> list[MediaFile]:
        """One file per group of places that name the same one; the first failure ends the others."""
        allowance = Allowance(self._max_total_bytes)
        slots = asyncio.Semaphore(_FETCHES_AT_ONCE)

        async def fetch(group: list[Place]) -> MediaFile:
            first = group[0]
            async with slots:
                return await self._fetcher.fetch(
                    first.url, first.param, allowance, copies=len(group), takes_documents=first.takes_documents
                )

        try:
            async with asyncio.TaskGroup() as tasks:
                started = [tasks.create_task(fetch(group)) for group in groups]
        except* RequestError as failed:
            failures = failed.exceptions
        else:
            return [task.result() for task in started]
        raise failures[0]

    async def close(self) -> None:
        """End what is still being fetched."""
        await self._fetcher.close()


def _parse(body: bytes) -> tuple[Any, bool]:
    """The document, and whether it has an object with two equal keys: parsers differ in which one they take, so what
    was checked must then be what is sent.
    """
    is_ambiguous = False

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal is_ambiguous
        found = dict(pairs)
        is_ambiguous |= len(found) != len(pairs)
        return found

    try:
        return json.loads(body.decode(), object_pairs_hook=build), is_ambiguous
    except RecursionError as error:
        raise _invalid("nested too deeply") from error
    except ValueError as error:  # not UTF-8, not JSON, or an integer of thousands of digits
        raise _invalid(str(error)) from error


def _find(document: Any) -> list[Place]:
    try:
        return find_places(document)
    except RecursionError as error:
        raise _invalid("nested too deeply") from error


def _invalid(why: str) -> RequestError:
    return RequestError("The request body is not valid JSON", why=why, code="invalid_json")
