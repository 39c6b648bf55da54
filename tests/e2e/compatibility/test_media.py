"""Images and sound by both SDKs: a random Qwen3-VL that sees and a random Whisper that hears, behind one gateway."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from anthropic import Anthropic
from fixtures.compatibility import Api
from fixtures.journeys import freehold, running
from fixtures.media import data_url, encoded, image, sound
from fixtures.models import add_artifact, read_files
from fixtures.senses import make_sense
from openai import OpenAI

from freehold.core.store import Store

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1200)]
CHAT = Api("/v1/chat/completions", "openai")
RESPONSES = Api("/v1/responses", "openai")
MESSAGES = Api("/v1/messages", "anthropic")
HEARD = Api("/v1/audio/transcriptions", "openai")
TRANSLATED = Api("/v1/audio/translations", "openai")
MODELS = {"sees": "Qwen3-VL", "hears": "Whisper"}
DEPLOYMENT = """
models:
  sees: {artifact: sees, engine: {probe: "off", maxModelLen: 1024, cpuKvCacheGib: 1}}
  hears: {artifact: hears, engine: {probe: "off", cpuKvCacheGib: 1}}
gateway: {port: 0}
"""
PICTURE = image(96, 64)
SHORT: Any = {"max_completion_tokens": 4}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the gateway, both engines ready."""
    home = tmp_path_factory.mktemp("media")
    for name, kind in MODELS.items():
        add_artifact(Store(home / "store"), name, read_files(make_sense(kind, home / "made" / name)))
    config = home / "freehold.yaml"
    config.write_text(DEPLOYMENT)
    with running(*freehold("serve", str(config), "--offline"), env={"FREEHOLD_HOME": str(home)}) as serving:
        found = serving.until(r"Gateway on (http://\S+)").group(1)
        serving.until(r"Ready after")
        yield found


@pytest.fixture
def asking(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def asking_claude(url: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=url, api_key="none", max_retries=0) as made:
        yield made


@CHAT.works("`image_url` with a `data:` URL to a model that sees")
def test_images_in_a_chat(asking: OpenAI) -> None:
    content: Any = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": data_url(PICTURE)}}]
    reply = asking.chat.completions.create(model="sees", messages=[{"role": "user", "content": content}], max_tokens=2)
    assert reply.usage and reply.usage.prompt_tokens > 6


@CHAT.refused("`image_url` of a host that is not allowed", "`param` names the URL's place")
def test_images_by_url(asking: OpenAI) -> None:
    content: Any = [{"type": "image_url", "image_url": {"url": "https://images.example.com/a.png"}}]
    with pytest.raises(openai.BadRequestError, match="not an allowed one") as refused:
        asking.chat.completions.create(model="sees", messages=[{"role": "user", "content": content}], max_tokens=2)
    assert refused.value.param == "messages[0].content[0].image_url.url"


@RESPONSES.works("`input_image`")
def test_images_in_a_response(asking: OpenAI) -> None:
    content: Any = [
        {"type": "input_text", "text": "?"},
        {"type": "input_image", "image_url": data_url(PICTURE)},
    ]
    reply = asking.responses.create(model="sees", input=[{"role": "user", "content": content}], max_output_tokens=2)
    assert reply.usage and reply.usage.input_tokens > 6


@MESSAGES.works("`image` blocks to a model that sees")
def test_images_in_a_message(asking_claude: Anthropic) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": encoded(PICTURE)}
    messages: Any = [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "?"}]}]
    reply = asking_claude.messages.create(model="sees", messages=messages, max_tokens=2)
    counted = asking_claude.messages.count_tokens(model="sees", messages=messages)
    assert reply.usage.input_tokens == counted.input_tokens > 6


@HEARD.works("a file of sound, `language`, `prompt`", "usage in seconds")
def test_a_file_is_transcribed(asking: OpenAI) -> None:
    told = asking.audio.transcriptions.create(
        model="hears", file=("a.wav", sound(2)), language="en", prompt="Names", extra_body=SHORT
    )
    assert getattr(told.usage, "seconds", None) == 2


@HEARD.works("`response_format` verbose_json", "a Whisper alone")
def test_segments(asking: OpenAI) -> None:
    told = asking.audio.transcriptions.create(
        model="hears", file=("a.wav", sound(2)), response_format="verbose_json", extra_body=SHORT
    )
    assert float(told.duration) == 2


@HEARD.lacks("streaming", "the engine's own events (`transcription.chunk`), which the SDK iterates")
def test_a_streamed_transcription(asking: OpenAI) -> None:
    stream = asking.audio.transcriptions.create(model="hears", file=("a.wav", sound(1)), stream=True, extra_body=SHORT)
    kinds = {event.model_dump()["object"] for event in stream}
    assert kinds == {"transcription.chunk"}


@HEARD.lacks("`response_format` text", "JSON instead of the text alone")
def test_text_alone(asking: OpenAI) -> None:
    told: Any = asking.audio.transcriptions.create(
        model="hears", file=("a.wav", sound(1)), response_format="text", extra_body=SHORT
    )
    assert str(told).startswith("{")


@HEARD.refused("`response_format` srt and vtt", "the message lists the formats")
@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles(asking: OpenAI, form: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="only support response_format"):
        asking.audio.transcriptions.create(model="hears", file=("a.wav", sound(1)), response_format=form)


@HEARD.refused("what is no sound, is too long, or goes to a model that does not hear", "the message says which")
def test_files_that_are_refused(asking: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"Invalid or \w+ audio"):
        asking.audio.transcriptions.create(model="hears", file=("a.wav", b"not a sound"))
    with pytest.raises(openai.BadRequestError, match="lasts 700 s"):
        asking.audio.transcriptions.create(model="hears", file=("a.wav", sound(700, 1000)))
    with pytest.raises(openai.BadRequestError, match="takes no sound"):
        asking.audio.transcriptions.create(model="sees", file=("a.wav", sound(1)))


@TRANSLATED.works("a file of sound", "without usage, as the API has none")
def test_a_file_is_translated(asking: OpenAI) -> None:
    with pytest.warns(DeprecationWarning):  # by the SDK
        told = asking.audio.translations.create(model="hears", file=("a.wav", sound(1)), extra_body=SHORT)
    assert isinstance(told.text, str)
