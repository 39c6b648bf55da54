"""Where requests name files by URL: each API's shapes, what only looks like one, and the cheap look at the bytes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.serve.gateway.media.places import find_places, may_name_urls

URL = "https://images.example.com/cat.png"
DATA = "data:image/png;base64,iVBORw0KGgo="


def _chat(*parts: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": ["see", *parts]}]}


def _response(item: Any) -> dict[str, Any]:
    return {"model": "tiny", "input": [item]}


PLACES: list[tuple[Any, str]] = [
    (_chat({"type": "image_url", "image_url": {"url": URL}}), "messages[0].content[1].image_url.url"),
    (_chat({"type": "image_url", "image_url": URL}), "messages[0].content[1].image_url"),
    (_chat({"image_url": URL}), "messages[0].content[1].image_url"),
    (
        _chat({"type": "text", "text": "x", "uuid": "1", "image_url": {"url": URL}}),
        "messages[0].content[1].image_url.url",
    ),
    (_chat({"type": "video_url", "video_url": {"url": URL}}), "messages[0].content[1].video_url.url"),
    (_chat({"type": "audio_url", "audio_url": {"url": URL}}), "messages[0].content[1].audio_url.url"),
    (_chat({"type": "audio_url", "audio_url": {"url": "/etc/passwd"}}), "messages[0].content[1].audio_url.url"),
    (_chat({"type": "input_image", "image_url": URL}), "messages[0].content[1].image_url"),
    (_chat({"type": "image", "image": URL}), "messages[0].content[1].image"),
    (_chat({"type": "image", "image": " \tht\ntps://x.example/"}), "messages[0].content[1].image"),
    (_chat({"type": "image", "image": "//x.example/cat.png"}), "messages[0].content[1].image"),
    (_chat({"type": "image", "url": URL}), "messages[0].content[1].url"),
    (_chat({"type": "input_audio", "input_audio": URL}), "messages[0].content[1].input_audio"),
    (
        _response({"role": "user", "content": [{"type": "input_image", "image_url": URL}]}),
        "input[0].content[0].image_url",
    ),
    (_response({"role": "user", "content": [{"type": "input_file", "file_url": URL}]}), "input[0].content[0].file_url"),
    (
        _response({"type": "function_call_output", "output": [{"type": "input_image", "image_url": URL}]}),
        "input[0].output[0].image_url",
    ),
    (
        _response({"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": URL}}),
        "input[0].output.image_url",
    ),
    (_chat({"type": "image", "source": {"type": "url", "url": URL}}), "messages[0].content[1].source.url"),
    (
        _chat({"type": "tool_result", "content": [{"type": "image", "source": {"type": "url", "url": URL}}]}),
        "messages[0].content[1].content[0].source.url",
    ),
    ({"system": [{"type": "image", "source": {"type": "url", "url": URL}}]}, "system[0].source.url"),
    ({"query": "q", "documents": {"content": [{"image_url": {"url": URL}}]}}, "documents.content[0].image_url.url"),
    ({"data_1": [{"content": [{"image_url": {"url": URL}}]}]}, "data_1[0].content[0].image_url.url"),
    ({"text_1": {"content": [{"image_url": {"url": URL}}]}}, "text_1.content[0].image_url.url"),
    ({"input_type": "image", "images": [DATA, URL]}, "images[1]"),
    ({"inputs": [{"content": [{"image_url": {"url": URL}}]}]}, "inputs[0].content[0].image_url.url"),
    ({"prompt": {"variables": {"p": {"type": "input_image", "image_url": URL}}}}, "prompt.variables.p.image_url"),
    ([{"image_url": [URL]}], "[0].image_url[0]"),
]


@pytest.mark.parametrize(("document", "path"), PLACES, ids=[path for _, path in PLACES])
def test_a_url_is_found_in_every_shape_that_an_api_defines(document: Any, path: str) -> None:
    assert [place.param for place in find_places(document)] == [path]
    for separators in ((",", ":"), (" , ", " \r\n\t: ")):
        assert may_name_urls(json.dumps(document, separators=separators).encode())


_SCHEMA = {
    "type": "object",
    "properties": {"url": {"type": "string"}, "image_url": {"type": "string"}},
    "required": ["url"],
}

UNTOUCHED: dict[str, Any] = {
    "text that mentions a URL": _chat({"type": "text", "text": f'see {URL} and {{"image_url": "{URL}"}}'}),
    "content that is a URL": {"messages": [{"role": "user", "content": URL}], "user": URL},
    "a tool's schema": {"tools": [{"type": "function", "function": {"name": "open", "parameters": _SCHEMA}}]},
    "a data: URL": _chat({"type": "image_url", "image_url": {"url": DATA}}),
    "a data: URL in capitals": _chat({"type": "image_url", "image_url": {"url": DATA.replace("data", "DATA")}}),
    "bare base64": _chat({"type": "input_audio", "input_audio": {"data": "//uQxAAA", "format": "mp3"}}),
    "no file, but its identifier": _chat({"type": "image_url", "image_url": None, "uuid": "cat"}),
    "texts in other scripts": {"messages": [{"role": "user", "content": "cafés, \u65e5\u672c, \U0001f408"}]},
}


@pytest.mark.parametrize("document", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_is_no_place_costs_a_look_at_the_bytes(document: Any) -> None:
    assert not may_name_urls(json.dumps(document).encode())
    assert find_places(document) == []


LOOKALIKES: dict[str, Any] = {
    "a schema with an example": {"tools": [{"input_schema": {"examples": [{"image_url": URL}], "url": URL}}]},
    "a tool's arguments": _chat({"type": "tool_use", "name": "open", "input": {"url": URL, "image_url": URL}}),
    "arguments as an object": {"messages": [{"tool_calls": [{"function": {"arguments": {"image_url": URL}}}]}]},
    "a schema for the answer": {"response_format": {"json_schema": {"schema": {"const": {"image_url": URL}}}}},
    "the same for responses": {"text": {"format": {"schema": {"const": {"image_url": URL}}}}},
    "variables of a template": {"chat_template_kwargs": {"image_url": URL}, "metadata": {"image_url": URL}},
    "a citation": _response({"content": [{"annotations": [{"type": "url_citation", "url": URL}]}]}),
    "a page that was searched": _response({"type": "web_search_call", "action": {"type": "open_page", "url": URL}}),
    "base64 without its prefix": {"images": ["//uQxAAA", "/9j/4AAQ", "iVBORw0KGgo="]},
    "a voice to answer with": {"audio": "alloy"},
}


@pytest.mark.parametrize("document", LOOKALIKES.values(), ids=LOOKALIKES)
def test_what_looks_like_a_place_is_left_alone(document: Any) -> None:
    assert find_places(document) == []


@pytest.mark.parametrize(
    "body",
    [
        rb'{"image\u005furl": "http://x"}',
        rb'{"\u0069mage_url": {"\u0075rl": "http://x"}}',
        rb'{"image_url": {"ur\u006C": "http://x"}}',
        rb'{"image_url": {"url": "\u0068ttp://x"}}',
        rb'{"image_url": {"url": "\tdata:x"}}',
        rb'{"image_url": "data:,", "image_url": "http://x"}',
        '{"image_url": "http://x"}'.encode("utf-16"),
        '{"image_url": "http://x"}'.encode("utf-16-le"),
        '{"image_url": "http://x"}'.encode("utf-32-be"),
    ],
)
def test_no_way_to_write_a_key_hides_it(body: bytes) -> None:
    assert may_name_urls(body)


def _place_of(document: Any) -> dict[str, tuple[bool, bool]]:
    return {place.param: (place.takes_documents, place.is_source) for place in find_places(document)}


def test_a_place_says_what_it_takes() -> None:
    source = {"type": "document", "source": {"type": "url", "url": URL}}
    found = _place_of(_chat({"image_url": {"url": URL}}, {"type": "input_file", "file_url": URL}, source))
    assert found == {
        "messages[0].content[1].image_url.url": (False, False),
        "messages[0].content[2].file_url": (True, False),
        "messages[0].content[3].source.url": (True, True),
    }


_KEYS = st.sampled_from(
    [
        *(
            "url",
            "image_url",
            "video_url",
            "audio_url",
            "file_url",
            "document_url",
            "image",
            "images",
            "video",
            "audio",
        ),
        *("input_image", "input_audio", "source", "type", "content", "messages", "input", "text", "tools"),
    ]
)
_STRINGS = st.sampled_from([URL, DATA, "image", "url", "file:///x", "", 'a "url": b', "\\", "http:x", "é"])
_DOCUMENTS = st.recursive(
    _STRINGS | st.none() | st.integers(0, 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)
_BLANKS = st.sampled_from(["", " ", "\n\t", "\r"])


@given(_DOCUMENTS, _BLANKS, _BLANKS, st.booleans(), st.lists(st.integers(0, 200), max_size=2))
@settings(max_examples=400, deadline=None, database=None)
@pytest.mark.slow
def test_the_cheap_look_misses_nothing_that_the_exact_one_finds(
    document: Any, before: str, after: str, is_long: bool, escaped: list[int]
) -> None:
    text = json.dumps(document, separators=(",", f"{before}:{after}"), ensure_ascii=False)
    for position in escaped:  # any character of a string may be written as an escape
        if position < len(text) and text[position].isalpha() and json.loads(text) == _with_escape(text, position)[1]:
            text = _with_escape(text, position)[0]
    body = (text + " " * 20_000 if is_long else text).encode()
    assert may_name_urls(body) or find_places(json.loads(body)) == []


def _with_escape(text: str, position: int) -> tuple[str, Any]:
    """The text with one character escaped, and what it then means (None if it is no JSON any more)."""
    changed = f"{text[:position]}\\u{ord(text[position]):04x}{text[position + 1 :]}"
    try:
        return changed, json.loads(changed)
    except ValueError:
        return text, None
