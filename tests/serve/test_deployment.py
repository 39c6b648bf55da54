"""One model from the command line: what the catalogue says of it is taken along, and said."""

from typing import Any

import pytest
from fixtures.models import add_artifact, hub_source

from freehold.core.errors import ConfigError, NotFoundError
from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.serve.config import DeploymentConfig, ProcessEngine
from freehold.serve.deployment import from_model

COMMIT = "a" * 40
FILES = {"config.json": b"{}"}


@pytest.fixture
def settings(store: Store) -> Settings:
    return Settings(home=store.root.parent, offline=True)


def deployed(model: str, settings: Settings, **options: Any) -> DeploymentConfig:
    none = dict.fromkeys(("host", "port", "name", "dtype", "max_model_len"))
    return from_model(model, settings, **none | options)


def engine(model: str, settings: Settings, **options: Any) -> ProcessEngine:
    (served,) = deployed(model, settings, **options).models.values()
    assert isinstance(served.engine, ProcessEngine)
    return served.engine


def test_the_catalogue_says_how_answers_are_read(
    store: Store, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    add_artifact(store, "ours", FILES, source=hub_source("Qwen/Qwen3-32B", COMMIT))
    found = engine("ours", settings)
    assert (found.tool_call_parser, found.reasoning_parser) == ("hermes", "qwen3")
    assert "From the catalogue's page of qwen3-32b: toolCallParser hermes" in capsys.readouterr().err


def test_what_was_made_of_it_is_read_alike(store: Store, settings: Settings) -> None:
    base = add_artifact(store, "ours", FILES, source=hub_source("Qwen/Qwen3-32B-FP8", COMMIT))
    add_artifact(store, "smaller", {"config.json": b"{ }"}, parents=(base.id,))
    assert engine("smaller", settings).tool_call_parser == "hermes"


def test_a_model_of_nobodys_page_has_no_parsers(store: Store, settings: Settings) -> None:
    add_artifact(store, "qwen3-32b", FILES, source=hub_source("acme/qwen3-32b", COMMIT))
    assert engine("qwen3-32b", settings).tool_call_parser is None


def test_the_command_line_knows_better_than_the_catalogue(
    store: Store, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    add_artifact(store, "ours", FILES, source=hub_source("Qwen/Qwen3-32B", COMMIT))
    assert engine("ours", settings, tool_call_parser="llama3_json").tool_call_parser == "llama3_json"
    assert "Requests with tools" not in capsys.readouterr().err


def test_a_model_without_a_parser_says_what_will_be_refused(
    store: Store, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    add_artifact(store, "ours", FILES)
    engine("ours", settings)
    assert "Requests with tools will be refused" in capsys.readouterr().err
    engine("ours", settings, tool_call_parser="hermes")
    add_artifact(store, "embeds", {"config.json": b"{ }"}, source=hub_source("BAAI/bge-m3", COMMIT))
    engine("embeds", settings)
    assert "Requests with tools" not in capsys.readouterr().err


def test_closed_names_lead_to_it(store: Store, settings: Settings) -> None:
    add_artifact(store, "ours", FILES)
    routes = deployed("ours", settings, routes=("gpt-4o-mini", "claude-haiku-4-5")).routes
    assert {name: route.targets for name, route in routes.items()} == {
        "gpt-4o-mini": {"ours": 1},
        "claude-haiku-4-5": {"ours": 1},
    }


def test_a_route_of_the_models_own_name_is_refused(store: Store, settings: Settings) -> None:
    add_artifact(store, "ours", FILES)
    with pytest.raises(ConfigError, match="routes"):
        deployed("ours", settings, routes=("ours",))


def test_an_adapter_is_served_with_its_base(store: Store, settings: Settings) -> None:
    base = add_artifact(store, "ours", FILES, source=hub_source("Qwen/Qwen3-32B", COMMIT))
    adapter = add_artifact(store, "support", {"adapter.json": b"{}"}, kind="adapter", parents=(base.id,))
    config = deployed("support", settings, routes=("gpt-4o-mini",), accept_parity=True)
    (served,) = config.models.values()
    assert (list(config.models), served.artifact, served.accept) == (["ours"], base.id, ("parity",))
    assert served.adapters is not None
    assert {name: (each.artifact, each.accept) for name, each in served.adapters.items()} == {
        "support": (adapter.id, ("parity",))
    }
    assert config.routes["gpt-4o-mini"].targets == {"support": 1}
    assert isinstance(served.engine, ProcessEngine) and served.engine.tool_call_parser == "hermes"


def test_an_adapter_whose_base_is_gone_says_which(store: Store, settings: Settings) -> None:
    add_artifact(store, "support", {"adapter.json": b"{}"}, kind="adapter", parents=("ours-0123456789ab",))
    with pytest.raises(NotFoundError, match="it was trained on ours-0123456789ab"):
        deployed("support", settings)
