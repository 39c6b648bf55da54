"""Forms: fields found in place, and changed without touching another byte."""

import pytest
from fixtures.media import form

from freehold.serve.gateway.endpoints import ENDPOINTS
from freehold.serve.gateway.errors import RequestError
from freehold.serve.gateway.multipart import read_form
from freehold.serve.gateway.request import RelayedRequest, parse_request

SPEECH = ENDPOINTS["/v1/audio/transcriptions"]
FILE = b"RIFF\r\n--b0un is not its end\r\n\0\xff"


def request(**fields: str) -> RelayedRequest:
    body, kind = form({"model": "whisper-1", **fields}, FILE)
    return parse_request(SPEECH, {"headers": [(b"content-type", kind.encode())]}, body)


def test_fields_and_file_are_found_where_they_stand() -> None:
    found = request(language="de", stream="True")
    assert found.form is not None
    assert found.body[slice(*found.form.file)] == FILE
    assert (found.model, found.field("language"), found.field("prompt"), found.is_stream) == (
        "whisper-1",
        "de",
        None,
        True,
    )


def test_a_field_that_is_as_large_as_a_file_is_no_text() -> None:
    assert request(prompt="x" * 70_000).field("prompt") is None


def test_only_what_changes_is_changed() -> None:
    before = request(language="de", stream="true", stream_include_usage="false")
    assert before.form is not None
    after = before.form.with_fields(before.body, {"model": "m", "stream_include_usage": "true", "new": "1"})
    expected = before.body.replace(b"\r\nwhisper-1\r\n", b"\r\nm\r\n")
    expected = expected.replace(b"\r\nfalse\r\n", b"\r\ntrue\r\n")
    added = b'--b0und\r\ncontent-disposition: form-data; name="new"\r\n\r\n1\r\n'
    assert after == expected.removesuffix(b"--b0und--\r\n") + added + b"--b0und--\r\n"
    again = read_form(after, b"multipart/form-data; boundary=b0und")
    assert [again.text(after, name) for name in ("model", "new", "language")] == ["m", "1", "de"]


@pytest.mark.parametrize(
    ("fields", "hidden"),
    [
        ({}, False),
        ({"stream": "false"}, False),
        ({"stream": "1"}, True),
        ({"stream": "true", "stream_include_usage": "true"}, False),
        ({"stream": "true", "stream_include_usage": "0"}, True),
    ],
)
def test_usage_is_hidden_from_who_did_not_ask(fields: dict[str, str], hidden: bool) -> None:
    assert request(**fields).hides_usage is hidden


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"", b"multipart/form-data; boundary=b", "invalid_form"),
        (b"--b\r\nno headers", b"multipart/form-data; boundary=b", "invalid_form"),
        (form({}, FILE)[0], b"multipart/form-data; boundary=b0und", "missing_model"),
        (form({"model": ""}, FILE)[0], b"multipart/form-data; boundary=b0und", "missing_model"),
        (b"{}", b"application/json", "invalid_body"),
    ],
)
def test_what_is_no_form_says_so(body: bytes, kind: bytes, code: str) -> None:
    with pytest.raises(RequestError) as refused:
        read_form(body, kind)
    assert refused.value.code == code
