"""The Serve application that starts vLLM on a Ray head: it fails with vLLM, and ends it."""

import http.server
import importlib.util
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.chart.rendering import CHART

SOURCE = CHART / "files" / "ray" / "freehold_engine.py"


class Deployment:
    """What `serve.deployment` makes of a class: something to bind."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def bind(self) -> "Deployment":
        return self


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with a stand-in for Ray."""
    serve = types.SimpleNamespace(deployment=Deployment)
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(serve=serve))
    spec = importlib.util.spec_from_file_location("freehold_engine", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "POLL_S", 0.01)
    return module


@pytest.fixture
def healthy() -> Iterator[str]:
    """An address that answers 200."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/health"
        server.shutdown()


def test_it_starts_vllm_on_ray_with_what_was_prepared(application: Any) -> None:
    assert application.COMMAND[:2] == ("sh", "-c")
    assert application.COMMAND[2].startswith(
        ". /run/freehold/engine.env; exec vllm serve --config /run/freehold/engine.yaml"
    )
    assert application.COMMAND[4:6] == ("--distributed-executor-backend", "ray")


@pytest.mark.slow
def test_it_is_there_once_vllm_answers_and_ends_it(
    application: Any, healthy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listens, ended = tmp_path / "listens", tmp_path / "ended"
    script = f"trap 'touch {ended}; exit 0' TERM; touch {listens}; while :; do sleep 0.05; done"
    monkeypatch.setattr(application, "COMMAND", ("sh", "-c", script))
    monkeypatch.setattr(application, "HEALTH", healthy)
    engine = application.app.kind()
    engine.check_health()
    while not listens.exists():
        time.sleep(0.01)
    process = engine._process
    engine.__del__()
    assert process.poll() == 0
    assert ended.is_file()
    with pytest.raises(RuntimeError, match="vLLM ended with status 0"):
        engine.check_health()


def test_it_fails_with_vllm(application: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "COMMAND", ("sh", "-c", "exit 7"))
    monkeypatch.setattr(application, "HEALTH", "http://127.0.0.1:9/health")
    with pytest.raises(RuntimeError, match="vLLM ended with status 7 while it started"):
        application.app.kind()
