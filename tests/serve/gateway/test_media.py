"""URLs in requests: which are fetched, from where, how much, and what becomes of them."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from fixtures.stub_engine import Call, StubEngine

from freehold.serve.config import MediaConfig
from freehold.serve.gateway.errors import RequestError
from freehold.serve.gateway.media import MediaInliner
from freehold.serve.gateway.media.addresses import is_public

PNG = b"\x89PNG\r\n\x1a\n"
PNG_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
PARAM = "messages[0].content[0].image_url.url"


def _body(*urls: str) -> bytes:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return json.dumps({"model": "tiny", "messages": [{"role": "user", "content": parts}]}).encode()


def _urls(body: bytes) -> list[str]:
    return [part["image_url"]["url"] for part in json.loads(body)["messages"][0]["content"]]


async def answer_png(call: Call) -> None:
    await call.reply(PNG, content_type="image/png")


@pytest.fixture
async def site() -> AsyncIterator[StubEngine]:
    """A web server; a PNG is under every path until a test has it answer otherwise."""
    async with StubEngine("site", answer_png).listening() as stub:
        yield stub


class Names:
    """A resolver: `known` are addresses by host, all others are the site. It keeps every question."""

    def __init__(self, site: StubEngine, known: dict[str, Sequence[str]]) -> None:
        self._port = int(site.base_url.rpartition(":")[2])
        self.known = known
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[tuple[str, int]]:
        self.asked.append(host)
        return [(address, self._port) for address in self.known.get(host, ["127.0.0.1"])]


Media = Callable[..., MediaInliner]


@pytest.fixture
async def media(site: StubEngine) -> AsyncIterator[Media]:
    """An inliner that takes loopback, where the site is, for the public internet, unless `strict`."""
    async with AsyncExitStack() as stack:

        def make(*domains: str, names: Names | None = None, strict: bool = False, **limits: Any) -> MediaInliner:
            config = MediaConfig(allowed_domains=domains or ("allowed.com", "*.allowed.com"), **limits)
            is_allowed = is_public if strict else lambda address: address == "127.0.0.1"
            inliner = MediaInliner(config, is_allowed_address=is_allowed, resolve=names or Names(site, {}))
            stack.push_async_callback(inliner.close)
            return inliner

        yield make


async def _error(inlining: Awaitable[bytes]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await inlining
    return caught.value


_NOT_LISTED = [
    *("localhost", "127.0.0.1", "0.0.0.0", "169.254.169.254"),
    *("2130706433", "0177.0.0.1", "0x7f.1", "127.1", "0x7f000001"),
]
_NO_NAMES = ["[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[fe80::1%25eth0]"]
FORBIDDEN = [
    *((f"http://{host}/", "is not an allowed one") for host in _NOT_LISTED),
    *((f"http://{host}/", "not a host name") for host in _NO_NAMES),
    ("http://127。0。0。1/", "'127.0.0.1' is not an allowed one"),
    ("http://１２７.0.0.1/", "'127.0.0.1' is not an allowed one"),
    ("http://ｅvil.com/", "'evil.com' is not an allowed one"),
    ("http://evil.com/", "'evil.com' is not an allowed one"),
    ("http://allowed.com.evil.com/", "is not an allowed one"),
    ("http://notallowed.com/", "is not an allowed one"),
    ("http://.allowed.com/", "not a host name"),
    ("http://a..allowed.com/", "not a host name"),
    ("http://allowed.com../", "not a host name"),
    ("http://%31%32%37.0.0.1/", "not a host name"),
    ("http://evil.com%2f.allowed.com/", "not a host name"),
    ("http://evil.com%00.allowed.com/", "not a host name"),
    ("http://allowed.com@evil.com/", "user name"),
    ("http://allowed.com:80@evil.com/", "user name"),
    ("http://me:secret@allowed.com/", "user name"),
    ("http://@allowed.com/", "user name"),
    ("http://allowed.com\\@evil.com/", "backslash"),
    ("http:\\\\allowed.com/", "backslash"),
    ("ht\ttp://allowed.com/", "invisible"),
    ("http://allowed.com\n.evil.com/", "invisible"),
    ("\nhttp://allowed.com/", "invisible"),
    (" http://allowed.com/", "blank"),
    ("http://allowed.com/ x", "blank"),
    ("http://al\u200blowed.com/", "invisible"),
    ("http://al\u00adlowed.com/", "invisible"),
    ("http://allowed.com/\ud800", "invisible"),
    ("//allowed.com/x.png", "no scheme"),
    ("allowed.com/x.png", "no scheme"),
    ("/etc/passwd", "no scheme"),
    ("http:allowed.com", "begins with 'http:'"),
    ("http:/allowed.com", "begins with 'http:'"),
    ("http:///allowed.com", "begins with 'http:'"),
    ("file:///etc/passwd", "begins with 'file:'"),
    ("FILE:///etc/passwd", "begins with 'FILE:'"),
    ("ftp://allowed.com/x", "begins with 'ftp:'"),
    ("gopher://allowed.com/x", "begins with 'gopher:'"),
    ("javascript:alert(1)", "begins with 'javascript:'"),
    ("http://allowed.com:8080/", "port is 8080"),
    ("http://allowed.com:22/", "port is 22"),
    ("http://allowed.com:99999/", "not a URL"),
    ("http://[allowed.com/", "not a URL"),
    ("http://allowed.com/" + "x" * 9000, "longer than 8192"),
]


@pytest.mark.parametrize(("url", "why"), FORBIDDEN, ids=[ascii(url)[:60] for url, _ in FORBIDDEN])
async def test_a_forbidden_url_is_refused_before_its_host_is_looked_up(
    site: StubEngine, media: Media, url: str, why: str
) -> None:
    names = Names(site, {})
    error = await _error(media(names=names, strict=True).inline(_body(url)))
    assert (error.http_status, error.code, error.param) == (400, "media_refused", PARAM)
    assert why in error.why
    assert names.asked == [] and site.calls == []


NOT_PUBLIC = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1"),
    *("192.0.0.8", "192.88.99.1", "198.18.0.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff0e::1", "100::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::808:808"),
    *("2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:db8::1", "3fff::1", "5f00::1"),
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_a_name_of_an_address_that_is_not_public_is_refused(site: StubEngine, media: Media, address: str) -> None:
    names = Names(site, {"allowed.com": [address]})
    error = await _error(media(names=names, strict=True).inline(_body("http://allowed.com/")))
    assert (error.code, error.param) == ("media_refused", PARAM)
    assert "not on the public internet" in error.why and address not in str(error)
    assert names.asked == ["allowed.com"] and site.calls == []


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_a_public_address_is_one(address: str) -> None:
    assert is_public(address)


async def test_one_private_address_among_public_ones_is_enough_to_refuse(site: StubEngine, media: Media) -> None:
    names = Names(site, {"allowed.com": ["127.0.0.1", "10.0.0.1"]})
    error = await _error(media(names=names).inline(_body("http://allowed.com/")))
    assert error.code == "media_refused" and "not on the public internet" in error.why
    assert site.calls == []


async def test_the_address_that_was_checked_is_the_one_that_is_used(site: StubEngine, media: Media) -> None:
    names = Names(site, {})
    inliner = media(names=names)
    await inliner.inline(_body("http://allowed.com/"))
    assert names.asked == ["allowed.com"] and len(site.calls) == 1
    names.known["allowed.com"] = ["10.0.0.1"]  # the name is bound anew: nothing of the first look-up is kept
    error = await _error(inliner.inline(_body("http://allowed.com/")))
    assert error.code == "media_refused" and len(site.calls) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://10.0.0.1/", "http://127.0.0.1./"])
async def test_a_listed_address_must_be_public_too(site: StubEngine, media: Media, url: str) -> None:
    error = await _error(media("127.0.0.1", "10.0.0.1", strict=True).inline(_body(url)))
    assert error.code == "media_refused" and "not on the public internet" in error.why
    assert site.calls == []


@pytest.mark.parametrize("url", ["http://2130706433/", "http://0177.0.0.1/"])
async def test_a_listed_address_counts_in_its_usual_form_only(media: Media, url: str) -> None:
    error = await _error(media("2130706433", "0177.0.0.1", "*.0.0.1", strict=True).inline(_body(url)))
    assert "not an allowed one" in error.why


async def test_with_no_domain_listed_every_url_is_refused(site: StubEngine) -> None:
    inliner = MediaInliner(MediaConfig(), resolve=Names(site, {}))
    error = await _error(inliner.inline(_body("https://images.example.com/cat.png")))
    assert (error.http_status, error.code, error.param) == (400, "media_refused", PARAM)
    assert "gateway.media.allowedDomains" in error.next_step
    assert await inliner.inline(_body(PNG_URL)) == _body(PNG_URL)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://allowed.com/cat.png", "allowed.com"),
        ("HTTP://ALLOWED.COM/cat.png", "allowed.com"),
        ("http://allowed.com./cat.png", "allowed.com"),
        ("http://allowed.com:80/cat.png", "allowed.com"),
        ("http://a.b.allowed.com/é.png?q=a%2Fb#top", "a.b.allowed.com"),
        ("http://ａllowed.com/cat.png", "allowed.com"),
        ("http://bücher.allowed.com/cat.png", "xn--bcher-kva.allowed.com"),
        ("http://allowed.com/@evil.com", "allowed.com"),
    ],
)
async def test_an_allowed_url_becomes_the_file(site: StubEngine, media: Media, url: str, host: str) -> None:
    names = Names(site, {})
    assert _urls(await media(names=names).inline(_body(url))) == [PNG_URL]
    assert names.asked == [host] and site.calls[0].header("host") == host


async def test_a_star_is_not_the_domain_itself(media: Media) -> None:
    error = await _error(media("*.allowed.com").inline(_body("http://allowed.com/")))
    assert "not an allowed one" in error.why


async def test_a_listed_name_may_be_in_capitals_and_end_with_a_dot(media: Media) -> None:
    assert _urls(await media("Allowed.COM.").inline(_body("http://allowed.com/"))) == [PNG_URL]


SHAPES: list[tuple[Any, Any]] = [
    (
        {"messages": [{"content": [{"type": "image_url", "image_url": {"url": "URL", "detail": "low"}}]}]},
        {"messages": [{"content": [{"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}}]}]},
    ),
    ({"messages": [{"content": [{"image_url": "URL"}]}]}, {"messages": [{"content": [{"image_url": PNG_URL}]}]}),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "URL"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": PNG_URL}]}]},
    ),
    (
        {"messages": [{"content": [{"type": "image", "source": {"type": "url", "url": "URL"}}]}]},
        {
            "messages": [
                {
                    "content": [
                        {
                            "type": "image",
                            "source": {
                                "type": "base64",
                                "media_type": "image/png",
                                "data": base64.b64encode(PNG).decode(),
                            },
                        }
                    ]
                }
            ]
        },
    ),
    (
        {"query": "q", "documents": {"content": [{"type": "image_url", "image_url": {"url": "URL"}}]}},
        {"query": "q", "documents": {"content": [{"type": "image_url", "image_url": {"url": PNG_URL}}]}},
    ),
    ({"images": [PNG_URL, "URL"]}, {"images": [PNG_URL, PNG_URL]}),
]


@pytest.mark.parametrize(("asked", "sent"), SHAPES, ids=["chat", "bare", "responses", "messages", "rerank", "embed"])
async def test_every_api_gets_the_file_in_its_own_shape(media: Media, asked: Any, sent: Any) -> None:
    rest = {"model": "tiny", "seed": 7, "top_p": 0.1, "stop": ["é", "\ud800"], "x": None}
    body = json.dumps({**asked, **rest}).replace('"URL"', '"http://allowed.com/cat.png"').encode()
    inliner = media()
    assert inliner.is_concerned(body)
    assert json.loads(await inliner.inline(body)) == {**sent, **rest}


async def test_a_body_without_a_url_is_the_same_bytes(media: Media) -> None:
    schema = b'{"tools": [{"parameters" : {"url":"http://evil.com"} }],  "x": 1e400}'
    inliner = media()
    assert inliner.is_concerned(schema) and await inliner.inline(schema) is schema


def test_a_big_picture_in_the_body_is_not_parsed() -> None:
    big = _body("data:image/png;base64," + "iVBORw0K" * 1_000_000)
    assert not MediaInliner.is_concerned(big)


async def test_what_was_checked_is_what_is_sent(media: Media) -> None:
    twice = b'{"image_url": "http://evil.com/", "image_url": "data:,"}'
    assert json.loads(await media().inline(twice)) == {"image_url": "data:,"}
    assert b"evil" not in await media().inline(twice)


@pytest.mark.parametrize(
    "body",
    [
        '{"image_url": "http://x"}'.encode("utf-16"),
        b'{"image_url": "http://x"',
        b'{"url": ' + b"[" * 100_000,
        b"\xff\0",
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(media: Media, body: bytes) -> None:
    error = await _error(media().inline(body))
    assert (error.http_status, error.code) == (400, "invalid_json")


async def test_nothing_of_the_request_or_the_environment_goes_along(
    site: StubEngine, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(call: Call) -> None:
        await call.reply(PNG, content_type="image/png", set_cookie="a=1; Path=/")

    site.answer = answer
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    inliner = media()
    await inliner.inline(_body("http://allowed.com/1"))
    await inliner.inline(_body("http://allowed.com/2"))
    assert [call.target for call in site.calls] == ["/1", "/2"]
    for call in site.calls:
        assert {name.lower() for name, _ in call.headers} <= {
            "host",
            "accept",
            "accept-encoding",
            "user-agent",
            "connection",
        }
        assert call.header("accept-encoding") == "identity"


async def test_tls_asks_for_the_host_by_its_name(media: Media) -> None:
    hello = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello.set_result(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def resolve(host: str, _port: int) -> list[tuple[str, int]]:
        return [("127.0.0.1", port)]

    async with server:
        error = await _error(media(names=resolve).inline(_body("https://a.allowed.com/")))
    assert error.code == "media_unreachable"
    assert b"a.allowed.com" in await hello


def _redirecting(*locations: str, status: int = 302) -> Callable[[Call], Awaitable[None]]:
    """The first requests are sent on to these places, in turn, and the next gets the picture."""
    left = list(locations)

    async def answer(call: Call) -> None:
        if left:
            await call.reply(b"", status=status, location=left.pop(0))
        else:
            await answer_png(call)

    return answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(site: StubEngine, media: Media, status: int) -> None:
    site.answer = _redirecting("/b", "c?d", "http://b.allowed.com/e", status=status)
    assert _urls(await media().inline(_body("http://allowed.com/a/"))) == [PNG_URL]
    assert [call.target for call in site.calls] == ["/a/", "/b", "/c?d", "/e"]


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://127.0.0.1/", "not an allowed one"),
        ("http://169.254.169.254/latest/meta-data", "not an allowed one"),
        ("http://2130706433/", "not an allowed one"),
        ("http://[::1]/", "not a host name"),
        ("http://evil.com/", "not an allowed one"),
        ("//evil.com/", "not an allowed one"),
        ("http://allowed.com@evil.com/", "user name"),
        ("//me@allowed.com/", "user name"),
        ("http://allowed.com\\@evil.com/", "backslash"),
        ("/\\evil.com", "backslash"),
        ("http://allowed.com:8080/", "port is 8080"),
        ("file:///etc/passwd", "other than an http"),
        ("data:image/png;base64,AAAA", "other than an http"),
        ("http://inside.allowed.com/", "not on the public internet"),
    ],
)
async def test_a_redirect_is_checked_like_the_url(site: StubEngine, media: Media, location: str, why: str) -> None:
    site.answer = _redirecting(location)
    names = Names(site, {"inside.allowed.com": ["10.0.0.1"]})
    error = await _error(media(names=names).inline(_body("http://allowed.com/")))
    assert (error.code, error.param) == ("media_refused", PARAM)
    assert why in error.why and len(site.calls) == 1


async def test_a_loop_of_redirects_ends(site: StubEngine, media: Media) -> None:
    site.answer = _redirecting(*["/"] * 10)
    error = await _error(media().inline(_body("http://allowed.com/")))
    assert error.code == "media_refused" and "more than 3 times" in error.why
    assert len(site.calls) == 4


async def test_a_file_of_the_greatest_size_is_taken(site: StubEngine, media: Media) -> None:
    assert _urls(await media(max_bytes=len(PNG)).inline(_body("http://allowed.com/"))) == [PNG_URL]


async def test_a_larger_file_is_refused_by_what_it_declares(site: StubEngine, media: Media) -> None:
    async def promise(call: Call) -> None:
        await call.raw(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 101\r\n\r\n")
        await call.left.wait()

    site.answer = promise
    error = await _error(media(max_bytes=100).inline(_body("http://allowed.com/")))
    assert error.code == "media_refused" and "gateway.media.maxBytes" in error.next_step


async def test_a_larger_file_is_refused_while_it_comes(site: StubEngine, media: Media) -> None:
    async def flood(call: Call) -> None:
        await call.start(content_type="image/png")
        while not call.left.is_set():
            await call.chunk(b"x" * 60)

    site.answer = flood
    error = await _error(media(max_bytes=100).inline(_body("http://allowed.com/")))
    assert error.code == "media_refused" and "larger than 100 bytes" in error.why


@pytest.mark.parametrize("urls", [[f"http://allowed.com/{n}" for n in range(5)], ["http://allowed.com/"] * 5])
async def test_the_files_of_a_request_are_limited_together(site: StubEngine, media: Media, urls: list[str]) -> None:
    async def answer(call: Call) -> None:
        await call.reply(b"x" * 90, content_type="image/png")

    site.answer = answer
    error = await _error(media(max_bytes=100).inline(_body(*urls)))
    assert error.code == "media_refused" and "400 bytes together" in error.why
    assert len(_urls(await media(max_bytes=100).inline(_body(*urls[:4])))) == 4


async def test_the_urls_of_a_request_are_limited(site: StubEngine, media: Media) -> None:
    error = await _error(media().inline(_body(*(f"http://allowed.com/{n}" for n in range(65)))))
    assert error.code == "media_refused" and "more than 64 URLs" in error.why
    assert site.calls == []


@pytest.mark.parametrize("begins", [False, True], ids=["no answer", "half an answer"])
async def test_a_slow_server_is_given_up(site: StubEngine, media: Media, begins: bool) -> None:
    async def hang(call: Call) -> None:
        if begins:
            await call.start(content_type="image/png")
            await call.chunk(PNG)
        await call.left.wait()

    site.answer = hang
    error = await _error(media(timeout_s=0.2).inline(_body("http://allowed.com/")))
    assert (error.http_status, error.code, error.param) == (400, "media_unreachable", PARAM)
    assert "gateway.media.timeoutS" in error.next_step


@pytest.mark.parametrize(
    "content_type",
    ["text/html", "application/json", "application/octet-stream", "application/pdf", "", "image/", "image/x,y"],
)
async def test_only_media_are_taken(site: StubEngine, media: Media, content_type: str) -> None:
    async def answer(call: Call) -> None:
        await call.reply(PNG, content_type=content_type)

    site.answer = answer
    error = await _error(media().inline(_body("http://allowed.com/")))
    assert error.code == "media_refused" and "content type" in error.why


async def test_a_document_is_taken_where_documents_go(site: StubEngine, media: Media) -> None:
    async def answer(call: Call) -> None:
        await call.reply(b"%PDF", content_type="application/pdf; qs=0.9")

    site.answer = answer
    body = b'{"input": [{"content": [{"type": "input_file", "file_url": "http://allowed.com/a.pdf"}]}]}'
    sent = json.loads(await media().inline(body))
    assert sent["input"][0]["content"][0]["file_url"] == "data:application/pdf;base64,JVBERg=="


async def test_a_compressed_answer_is_refused(site: StubEngine, media: Media) -> None:
    async def answer(call: Call) -> None:
        await call.reply(gzip.compress(b"\0" * 10_000), content_type="image/png", content_encoding="gzip")

    site.answer = answer
    error = await _error(media().inline(_body("http://allowed.com/")))
    assert error.code == "media_refused" and "compresses" in error.why


async def _not_found(call: Call) -> None:
    await call.reply(b"", status=404, content_type="image/png")


async def _die(call: Call) -> None:
    call.die()


async def _stop_halfway(call: Call) -> None:
    await call.raw(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 100\r\n\r\nhalf")
    call.hang_up()


async def _babble(call: Call) -> None:
    await call.raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    call.hang_up()


@pytest.mark.parametrize("answer", [_not_found, _die, _stop_halfway, _babble])
async def test_a_server_that_fails_is_said_to(
    site: StubEngine, media: Media, answer: Callable[[Call], Awaitable[None]]
) -> None:
    site.answer = answer
    error = await _error(media().inline(_body("http://allowed.com/")))
    assert (error.http_status, error.code, error.param) == (400, "media_unreachable", PARAM)
    assert "OpenSSH" not in str(error)


async def test_a_name_that_does_not_exist_is_said_to(media: Media) -> None:
    async def resolve(host: str, port: int) -> list[tuple[str, int]]:
        raise OSError("Name or service not known")

    error = await _error(media(names=resolve).inline(_body("http://allowed.com/")))
    assert error.code == "media_unreachable"


async def test_the_same_url_is_fetched_once(site: StubEngine, media: Media) -> None:
    sent = await media().inline(_body("http://allowed.com/a", "http://allowed.com/b", "http://allowed.com/a"))
    assert _urls(sent) == [PNG_URL] * 3
    assert sorted(call.target for call in site.calls) == ["/a", "/b"]


async def test_no_more_than_four_are_fetched_at_once(site: StubEngine, media: Media) -> None:
    waiting: set[str] = set()
    four, go = asyncio.Event(), asyncio.Event()

    async def answer(call: Call) -> None:
        if call.target != "/other":
            waiting.add(call.target)
            if len(waiting) == 4:
                four.set()
            await go.wait()
        await answer_png(call)

    site.answer = answer
    inlining = asyncio.ensure_future(media().inline(_body(*(f"http://allowed.com/{n}" for n in range(6)))))
    await four.wait()
    await media().inline(_body("http://allowed.com/other"))  # long enough for a fifth to arrive
    assert len(waiting) == 4
    go.set()
    assert _urls(await inlining) == [PNG_URL] * 6


async def test_the_first_failure_ends_the_other_fetches(site: StubEngine, media: Media) -> None:
    left = asyncio.Event()
    hanging = asyncio.Event()

    async def answer(call: Call) -> None:
        if call.target == "/hangs":
            hanging.set()
            await call.left.wait()
            left.set()
        else:
            await hanging.wait()
            await _not_found(call)

    site.answer = answer
    error = await _error(media().inline(_body("http://allowed.com/hangs", "http://allowed.com/fails")))
    assert (error.code, error.param) == ("media_unreachable", "messages[0].content[1].image_url.url")
    await left.wait()
