"""What files in requests weigh: found in every API's form, measured by their headers, bounded, and refused in time."""

import json
import struct
import zlib
from typing import Any

import pytest
from fixtures.media import data_url, encoded, image, sound
from fixtures.stub_engine import Call, StubEngine

from freehold.serve.config import MediaConfig
from freehold.serve.gateway.errors import RequestError
from freehold.serve.gateway.media.measuring import HEAD_CHARACTERS, image_size, sound_seconds
from freehold.serve.gateway.media.parts import find_parts, may_have_parts
from freehold.serve.gateway.media.weighing import Weighing, Weight
from freehold.serve.senses import Modality, Senses
from freehold.serve.senses.images import Patches
from freehold.serve.senses.sounds import Sound

PICTURE, TONE = image(96, 64), sound(2)
EYES = Patches(unit=32, min_pixels=1024, max_pixels=64 * 1024)
ALL = frozenset(Modality)
LIMITS = MediaConfig(max_pixels=1_000_000, max_audio_s=60)


async def _silent(call: Call) -> None: ...


def engine(senses: Senses | None) -> StubEngine:
    stub = StubEngine("tiny", _silent)
    stub.senses = senses
    return stub


def weigh(document: dict[str, Any], senses: Senses | None = None) -> Weight:
    return Weighing(LIMITS).weigh(json.dumps(document).encode(), document, engine(senses))


def chat(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, *parts]}]}


SEEN: dict[str, dict[str, Any]] = {
    "chat": chat({"type": "image_url", "image_url": {"url": data_url(PICTURE)}}),
    "chat, the URL alone": chat({"type": "image_url", "image_url": data_url(PICTURE)}),
    "chat, no type": chat({"image_url": {"url": data_url(PICTURE)}}),
    "responses": {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": data_url(PICTURE)}]}]},
    "messages": chat(
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": encoded(PICTURE)}}
    ),
    "a tool's result": chat(
        {
            "type": "tool_result",
            "content": [{"type": "image", "source": {"type": "base64", "data": encoded(PICTURE)}}],
        }
    ),
    "embeddings": {"input": [{"content": [{"type": "image", "image": encoded(PICTURE)}]}]},
}


@pytest.mark.parametrize("document", SEEN.values(), ids=SEEN)
def test_an_image_is_found_and_counted_wherever_it_stands(document: dict[str, Any]) -> None:
    assert may_have_parts(json.dumps(document).encode())
    weight = weigh(document, Senses(ALL, EYES))
    assert weight == Weight(tokens=3 * 2 + 2, encoded_bytes=len(encoded(PICTURE)))


def test_sound_is_found_and_counted() -> None:
    part = {"type": "input_audio", "input_audio": {"data": encoded(TONE), "format": "wav"}}
    weight = weigh(chat(part), Senses(ALL, sound=Sound(per_second=13, window_s=1)))
    assert weight == Weight(tokens=28, encoded_bytes=len(encoded(TONE)), seconds=2.0)


@pytest.mark.parametrize(
    "document", [{"messages": [{"role": "user", "content": "no image here"}]}, {"prompt": "a video"}]
)
def test_text_weighs_nothing(document: dict[str, Any]) -> None:
    assert weigh(document) == Weight(0, 0)


def test_what_tools_and_schemas_say_is_no_file() -> None:
    tool = {"type": "function", "function": {"parameters": {"properties": {"image": {"url": "x"}}}}}
    call = {"function": {"arguments": json.dumps({"image": "x"})}}
    assert find_parts({"tools": [tool], "messages": [{"tool_calls": [call]}], "audio": {"voice": "a"}}) == []


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("size", [(1, 1), (333, 17), (2000, 1)])
def test_the_size_is_in_the_header(form: str, size: tuple[int, int]) -> None:
    assert image_size(encoded(image(*size, form))) == size


def test_a_jpeg_with_a_large_preview_in_front_is_measured_too() -> None:
    picture = image(640, 480, "JPEG")
    preview = b"".join(b"\xff\xe2" + struct.pack(">H", 60_000) + b"\0" * 59_998 for _ in range(3))
    heavy = picture[:2] + preview + picture[2:]
    assert len(preview) > HEAD_CHARACTERS
    assert image_size(encoded(heavy)) == (640, 480)


@pytest.mark.parametrize(
    "content", [b"", b"GIF8", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"<svg width='9' height='9'/>", PICTURE[:20]]
)
def test_what_says_no_size_counts_as_the_largest(content: bytes) -> None:
    assert image_size(encoded(content)) is None
    url = {"type": "image_url", "image_url": {"url": data_url(content)}}
    assert weigh(chat(url), Senses(ALL, EYES)).tokens in (EYES.most, 0)
    far = {"type": "image_url", "image_url": {"url": "https://images.example/a.png"}}
    assert weigh(chat(far), Senses(ALL, EYES)) == Weight(EYES.most, urls=1)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is huge."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def test_a_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(RequestError, match=r"50000 x 50000 pixels, and 1000000 are allowed") as refused:
        weigh(chat({"type": "image_url", "image_url": {"url": data_url(bomb(50_000, 50_000))}}))
    assert refused.value.code == "media_too_large"
    assert refused.value.param == "messages[0].content[1].image_url.url"


def test_a_sound_that_is_too_long_is_refused() -> None:
    part = {"type": "input_audio", "input_audio": {"data": encoded(sound(61, 1000)), "format": "wav"}}
    with pytest.raises(RequestError, match=r"lasts 61 s, and 60 s are allowed"):
        weigh(chat(part))


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"fLaC" + b"\0" * 10, b"OggS" + b"\xff" * 99, b"\xff\xfb" * 40, TONE[:30]]
)
def test_a_broken_sound_has_no_length(content: bytes) -> None:
    assert not sound_seconds(content)


@pytest.mark.parametrize(
    ("takes", "part", "words"),
    [
        ([], {"image_url": {"url": data_url(PICTURE)}}, r"takes no images: by its config.json it takes text;"),
        (
            ["image"],
            {"input_audio": {"data": encoded(TONE)}},
            r"takes no sound: by its config.json it takes text, image",
        ),
        (["image"], {"video_url": {"url": "https://x.example/a.mp4"}}, r"takes no videos"),
    ],
)
def test_what_a_model_does_not_take_is_refused(takes: list[str], part: dict[str, Any], words: str) -> None:
    senses = Senses(frozenset(Modality(each) for each in takes))
    with pytest.raises(RequestError, match=words) as refused:
        weigh(chat(part), senses)
    assert (refused.value.http_status, refused.value.code) == (400, "modality_not_supported")
    assert weigh(chat(part), None).tokens is None, "an engine of which nothing is known judges by itself"


def test_without_a_rule_nothing_is_guessed() -> None:
    assert weigh(SEEN["chat"], Senses(ALL)).tokens is None
    video = chat({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}})
    assert weigh(video, Senses(ALL, EYES)).tokens is None


def test_a_document_that_is_nested_too_deeply_is_refused() -> None:
    document: dict[str, Any] = {"image": 1}
    for _ in range(5000):
        document = {"a": document}
    with pytest.raises(RequestError, match="nested too deeply"):
        Weighing(LIMITS).weigh(b'"image"', document, engine(None))
