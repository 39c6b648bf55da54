"""Bodies of every kind become objects in a record, without their media."""

import base64
import gzip
import hashlib
import json
import zlib
from typing import Any

import pytest

from freehold.core.recording import RecordedExchange
from freehold.serve.recording.assembling import record_of
from freehold.serve.recording.media import STUB, without_media
from freehold.serve.recording.raw import RawExchange

PICTURE = bytes(range(256)) * 8
ENCODED = base64.b64encode(PICTURE).decode()
DIGEST = hashlib.sha256(PICTURE).hexdigest()


def _record(request: bytes = b"{}", response: bytes = b"{}", **fields: Any) -> RecordedExchange:
    usual: dict[str, Any] = {"route": "r", "model": "m", "endpoint": "/v1/chat/completions"}
    usual |= {"started_unix_s": 1.0, "status": 200, "latency_s": 0.1}
    return record_of(RawExchange(**(usual | {"request": request, "response": [response]} | fields)))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"--form\r\n", b"\xff", b"[" * 100_000])
def test_a_request_that_is_no_object_is_its_digest(body: bytes) -> None:
    assert _record(body).request == {"omitted": {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}}


def test_an_empty_object_is_an_object() -> None:
    assert (_record().request, _record().response) == ({}, {})


ANSWER = json.dumps({"text": "Paris" * 100}).encode()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [(b"gzip", gzip.compress(ANSWER)), (b"deflate", zlib.compress(ANSWER)), (b"identity", ANSWER), (b"", ANSWER)],
    ids=["gzip", "deflate", "identity", "unsaid"],
)
def test_compressed_answers_are_read(encoding: bytes, body: bytes) -> None:
    record = _record(response=body, content_encoding=encoding)
    assert (record.response, record.truncated) == (json.loads(ANSWER), False)


def test_what_cannot_be_read_is_its_digest_and_known_as_cut() -> None:
    for encoding, body in ((b"br", b"?"), (b"gzip", b"no gzip"), (b"", b"\xff\xfe")):
        record = _record(response=body, content_encoding=encoding)
        assert (list(record.response), record.truncated) == (["omitted"], True)
    assert _record(response=gzip.compress(ANSWER)[:-4], content_encoding=b"gzip").truncated


def test_a_text_is_kept() -> None:
    assert _record(response=b"1\n00:00 --> 00:01\nHi", content_type=b"text/plain").response == {
        "text": "1\n00:00 --> 00:01\nHi"
    }


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{ENCODED}"}}, "image/png"),
        ({"type": "input_image", "image_url": f"data:image/png;base64,{ENCODED}"}, "image/png"),
        ({"type": "video_url", "video_url": {"url": f"data:video/mp4;codecs=x;base64,{ENCODED}"}}, "video/mp4"),
        ({"type": "input_audio", "input_audio": {"data": ENCODED, "format": "wav"}}, "application/octet-stream"),
        ({"type": "file", "file": {"file_data": ENCODED}}, "application/octet-stream"),
        ({"type": "image", "source": {"type": "base64", "data": ENCODED}}, "application/octet-stream"),
    ],
)
def test_large_media_become_digests(part: dict[str, Any], kind: str) -> None:
    record = _record(json.dumps({"messages": [{"role": "user", "content": [part]}]}).encode())
    text = json.dumps(record.request)
    assert f"freehold-media:{kind}:{len(PICTURE)}:sha256:{DIGEST}" in text
    assert ENCODED not in text
    assert record.media_omitted == 1


@pytest.mark.parametrize(
    "value",
    [
        {"url": "data:image/png;base64," + ENCODED[:900]},
        {"url": "https://example.com/" + "a" * 2000},
        {"text": "data: " + "word " * 400},
        {"data": "Some words. " * 200},
        {"text": ENCODED},
    ],
)
def test_small_media_and_texts_stay(value: dict[str, str]) -> None:
    assert without_media(value) == (value, 0)


@pytest.mark.parametrize("claimed", ["", "image/png", "jane@x.com/y", "a" * 99 + "/b", "jane doe/1", "ü/ü"])
def test_a_stub_is_one_whatever_type_the_client_claims(claimed: str) -> None:
    document, _ = without_media({"url": f"data:{claimed};base64,{ENCODED}"})
    assert STUB.fullmatch(document["url"])
    assert "jane" not in document["url"]
