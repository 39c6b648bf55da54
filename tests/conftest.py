"""What every test gets: a home of its own and no network but loopback."""

import gc
import os
from pathlib import Path

import pytest
from pytest_socket import socket_allow_hosts
from xdist.scheduler import LoadScopeScheduling

from freehold.core.environment.shared import cache_root

pytest_plugins = (
    "fixtures.models",
    "fixtures.mirrors",
    "fixtures.faulty_hub",
    "fixtures.journeys",
    "fixtures.databases",
)

SHARING = ("tests/e2e/compatibility/",)
"""Folders whose tests share one engine, and tell each other what passed."""

FROM_OUTSIDE = (
    "HF_TOKEN",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "FREEHOLD_OFFLINE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_TRACES_EXPORTER",
)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, for this process and for the children that a test starts."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    monkeypatch.setenv("FREEHOLD_HOME", str(folder / "freehold"))
    monkeypatch.setenv("HF_HOME", str(folder / "huggingface"))
    for name in FROM_OUTSIDE:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return folder


def pytest_configure() -> None:
    """Homes change from test to test, these do not: what vLLM finds out about a model's class takes it 15 s, and an
    environment is minutes of work."""
    os.environ.setdefault("FREEHOLD_CACHE", str(cache_root()))
    os.environ.setdefault("VLLM_CACHE_ROOT", str(cache_root() / "vllm"))
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Files that run at a time share the cores; threads that spin for each other's would take them all.
        os.environ.setdefault("OMP_NUM_THREADS", "1")


class ByFile(LoadScopeScheduling):
    """A file's tests run in one process, in order; so do those of a folder that shares an engine."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return next((folder for folder in SHARING if path.startswith(folder)), path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """How `pytest -n` divides the tests."""
    return ByFile(config, log)


def pytest_collection_finish() -> None:
    """Modules and tests are here to stay: looking for garbage among them took a third of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 50)


def pytest_runtest_setup() -> None:
    """pytest-socket lifts this again after each test."""
    socket_allow_hosts(["127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"], allow_unix_socket=True)
