"""A running gateway says what it serves, and is held against the config."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from fixtures.audited import House
from fixtures.models import add_artifact, hub_source
from typer.testing import CliRunner

from freehold.core.errors import AccessDeniedError, OfflineError, RemoteError
from freehold.serve.cli.audit import app
from freehold.serve.compliance.running import ask_gateway

pytestmark = pytest.mark.slow


class Gateway:
    """The one page of a gateway that is asked."""

    def __init__(self) -> None:
        self.models: list[dict[str, str]] = []
        self.status = 200
        self.key = ""
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gateway.key = self.headers.get("Authorization", "")
                body = json.dumps({"object": "list", "data": gateway.models}).encode()
                self.send_response(gateway.status if self.path == "/v1/models" else 404)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing on stderr."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    thread = Thread(target=gateway.server.serve_forever, daemon=True)
    thread.start()
    yield gateway
    gateway.server.shutdown()
    thread.join()
    gateway.server.server_close()


def served(*options: str) -> dict[str, dict[str, Any]]:
    ended = CliRunner().invoke(app, ["--format", "json", *options], catch_exceptions=False)
    assert ended.exit_code == 0
    return {one["name"]: one for one in json.loads(ended.stdout)["served"]}


def test_without_a_config_the_gateways_word_is_looked_up_in_the_store(
    house: House, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.models = [
        {"id": "chat", "root": house.base.id},
        {"id": "support", "root": house.adapter.id, "parent": "chat"},
        {"id": "help"},
        {"id": "bot", "root": "bot-0123456789ab"},
    ]
    monkeypatch.setenv("FREEHOLD_API_KEY", "fh-secret")
    monkeypatch.setenv("FREEHOLD_POLICY", str(house.policy))
    found = served("--gateway", f"{gateway.url}/v1", "--lock-file", str(house.lock))
    assert gateway.key == "Bearer fh-secret"
    assert [(one["kind"], one["running"]) for one in found.values()] == [
        ("model", house.base.id),
        ("adapter", house.adapter.id),
        ("remote", ""),
        ("model", "bot-0123456789ab"),
    ]
    assert found["chat"]["verdict"] == "allowed"
    assert found["bot"]["problems"] == ["bot-0123456789ab is not in the store here"]


def test_what_runs_from_another_artifact_than_the_config_says_is_a_finding(house: House, gateway: Gateway) -> None:
    other = add_artifact(house.store, "other", {"config.json": b"{}"}, source=hub_source("a/b", "a" * 40))
    gateway.models = [
        {"id": "chat", "root": other.id},
        {"id": "far"},
        {"id": "help"},
        {"id": "late", "root": other.id},
    ]
    found = served(*house.options, "--gateway", gateway.url)
    assert found["chat"]["problems"] == [f"the gateway serves {other.id}"]
    assert found["support"]["problems"] == ["the gateway does not list it"]
    assert found["far"]["problems"] == []
    assert found["late"]["problems"] == ["the config does not name it"]
    assert "help" not in found, "a route of the config is no model"


def test_as_the_config_says_there_is_no_finding(house: House, gateway: Gateway) -> None:
    gateway.models = [
        {"id": "chat", "root": house.base.id},
        {"id": "support", "root": house.adapter.id, "parent": "chat"},
        {"id": "far"},
    ]
    found = served(*house.options, "--gateway", gateway.url, "--strict")
    assert [one["problems"] for one in found.values()] == [[], [], []]


@pytest.mark.parametrize(("status", "error"), [(401, AccessDeniedError), (500, RemoteError), (404, RemoteError)])
def test_a_gateway_that_does_not_say_is_an_error(gateway: Gateway, status: int, error: type[Exception]) -> None:
    gateway.status = status
    with pytest.raises(error):
        ask_gateway(gateway.url, None, offline=True)


def test_nobody_there_is_an_error(gateway: Gateway) -> None:
    with pytest.raises(RemoteError, match="does not say what it serves"):
        ask_gateway("http://127.0.0.1:9", None, offline=False)


def test_offline_asks_this_machine_alone() -> None:
    with pytest.raises(OfflineError, match="not on this machine"):
        ask_gateway("http://10.0.0.9:8000", None, offline=True)
