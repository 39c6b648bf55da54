"""Fetch one file: every hop under the policy, every address checked, no more bytes and seconds than allowed."""

import asyncio
import logging
import re
from dataclasses import dataclass

import aiohttp
from yarl import URL

from freehold.serve.config import MediaConfig
from freehold.serve.gateway.media.addresses import AddressRefused, CheckedResolver
from freehold.serve.gateway.media.policy import MediaPolicy, is_address, refused, unreachable

log = logging.getLogger("freehold.gateway")

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 3
_CHUNK_BYTES = 64 * 1024
_MEDIA_TYPE = re.compile(r"(?:image|audio|video)/[a-z0-9][a-z0-9.+_-]*")
_PDF = "application/pdf"

# Nothing of the client's request goes along. An answer that is compressed all the same is refused: what it unfolds to
# is known only too late.
_HEADERS = {
    "Accept": "image/*, audio/*, video/*, application/pdf",
    "Accept-Encoding": "identity",
    "User-Agent": "freehold-gateway",
}


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file with its type, which holds nothing that a `data:` URL would trip over."""

    media_type: str
    content: bytes


class Allowance:
    """What the files of one request may weigh together, each counted as often as it will stand in the request."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._left = size_bytes

    def take(self, size_bytes: int, param: str) -> None:
        """Raises RequestError once there is nothing left."""
        self._left -= size_bytes
        if self._left < 0:
            raise refused(param, f"the files of this request are larger than {self._size_bytes} bytes together")


class Fetcher:
    """Fetches files. `close` ends what is still under way."""

    def __init__(self, config: MediaConfig, resolver: CheckedResolver) -> None:
        self._config = config
        self._policy = MediaPolicy(config)
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def fetch(
        self, url: str, param: str, allowance: Allowance, *, copies: int = 1, takes_documents: bool = False
    ) -> MediaFile:
        """The file at a URL. Raises RequestError: `media_refused` if it may not be had, `media_unreachable` if the
        other side does not deliver.
        """
        try:
            async with asyncio.timeout(self._config.timeout_s):
                return await self._follow(url, param, allowance, copies, takes_documents)
        except TimeoutError as error:
            why = f"it took longer than {self._config.timeout_s:g} s"
            raise unreachable(param, why, "The limit is gateway.media.timeoutS.") from error
        except AddressRefused as error:
            log.warning("A request names a URL at an address that is not public: %s", error)
            raise refused(param, "its host is not on the public internet") from error
        except (aiohttp.ClientError, OSError) as error:
            log.info("A URL in a request could not be fetched: %r", error)
            raise unreachable(param, "the server does not answer as it should") from error

    async def _follow(
        self, url: str, param: str, allowance: Allowance, copies: int, takes_documents: bool
    ) -> MediaFile:
        target = self._policy.check(url, param)
        for _ in range(_MAX_REDIRECTS + 1):
            async with await self._get(target) as response:
                if response.status not in _REDIRECTS:
                    media_type = self._check_head(response, param, takes_documents)
                    return MediaFile(media_type, await self._read(response, param, allowance, copies))
                location = response.headers.get("location", "")
            target = self._policy.check_redirect(target, location, param)
        raise refused(param, f"it redirects more than {_MAX_REDIRECTS} times")

    async def _get(self, url: URL) -> aiohttp.ClientResponse:
        assert url.raw_host is not None, "the policy asks for a host"
        if is_address(url.raw_host):  # aiohttp asks no resolver for these
            self._resolver.check(url.raw_host, url.raw_host)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A connection of its own for each file, so that each is to an address checked for it.
                connector=aiohttp.TCPConnector(resolver=self._resolver, use_dns_cache=False, force_close=True),
                headers=_HEADERS,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return await self._session.get(url, allow_redirects=False)

    def _check_head(self, response: aiohttp.ClientResponse, param: str, takes_documents: bool) -> str:
        """The file's media type, if status and headers promise a file that may be had."""
        if response.status != 200:
            raise unreachable(param, f"the server answers with status {response.status}")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise refused(param, "the server compresses it though it was asked not to")
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not _MEDIA_TYPE.fullmatch(media_type) and not (takes_documents and media_type == _PDF):
            raise refused(param, f"its content type is '{media_type[:100]}'", "It must be an image, audio or video.")
        if (response.content_length or 0) > self._config.max_bytes:
            raise self._too_large(param)
        return media_type

    async def _read(self, response: aiohttp.ClientResponse, param: str, allowance: Allowance, copies: int) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            content += chunk
            if len(content) > self._config.max_bytes:
                raise self._too_large(param)
            allowance.take(len(chunk) * copies, param)
        return bytes(content)

    def _too_large(self, param: str) -> Exception:
        why = f"it is larger than {self._config.max_bytes} bytes"
        return refused(param, why, "The limit is gateway.media.maxBytes.")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
