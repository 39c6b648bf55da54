"""One real gateway in front of real engines: a chat model, an embedding model and a reranker."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from anthropic import Anthropic
from fixtures.compatibility import IS_PARTIAL, PASSED, features_of
from fixtures.journeys import MODEL, freehold, link_model, running
from fixtures.models import add_artifact, make_tiny_encoder, make_tiny_model, read_files
from openai import OpenAI

from freehold.core.store import Store
from freehold.serve.gateway import new_event_loop

HERE = Path(__file__).parent
CONTEXT = 1024
"""Context window of the chat model, in tokens."""
PIECE = 64
"""Tokens of a prompt that the model without a parser reads in one step."""
DEPLOYMENT = f"""
models:
  {MODEL}:
    artifact: {MODEL}
    engine:
      dtype: float32
      maxModelLen: {CONTEXT}
      probe: "off"
      toolCallParser: hermes
      chatTemplate: {HERE / "tools.jinja"}
  no-parser:
    artifact: no-parser
    engine: {{dtype: float32, probe: "off", extraArgs: [--max-num-batched-tokens, "{PIECE}"]}}
  embedder: {{artifact: embedder, engine: {{dtype: float32, probe: "off"}}}}
  ranker: {{artifact: ranker, engine: {{dtype: float32, probe: "off"}}}}
gateway: {{port: 0}}
"""


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the gateway runs on in production."""
    return {"uvloop": new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The page is compared when everything else in this folder has been found out."""
    items.sort(key=lambda item: item.path == HERE / "test_page.py")


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Remember that rows are missing."""
    for item in items:
        if features_of(item):
            item.session.stash[IS_PARTIAL] = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Remember which tests passed, for the page."""
    report = yield
    if report.when == "call" and report.passed:
        item.session.stash.setdefault(PASSED, set()).add(item.nodeid)
    return report


@pytest.fixture(scope="package")
def served(pulled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the gateway, all engines ready."""
    home = tmp_path_factory.mktemp("compatibility")
    link_model(pulled_home, home)
    store = Store(home / "store")
    add_artifact(store, "no-parser", read_files(make_tiny_model(home / "made" / "no-parser")))
    for name, scores in (("embedder", False), ("ranker", True)):
        add_artifact(store, name, read_files(make_tiny_encoder(home / "made" / name, scores=scores)))
    config = home / "freehold.yaml"
    config.write_text(DEPLOYMENT)
    with running(*freehold("serve", str(config), "--offline"), env={"FREEHOLD_HOME": str(home)}) as serving:
        url = serving.until(r"Gateway on (http://\S+)").group(1)
        serving.until(r"Ready after")
        yield url


@pytest.fixture
def client(served: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{served}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def claude(served: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=served, api_key="none", max_retries=0) as made:
        yield made
