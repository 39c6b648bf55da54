"""Manifests against a hub: our own mirror stands for it, over HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.mirrors import Server, serving
from fixtures.models import add_artifact, hub_source
from typer.testing import CliRunner

from freehold.core.cli.models import app
from freehold.core.errors import ConfigError
from freehold.core.manifest import ModelManifest, load_catalogue
from freehold.core.manifest.publisher_check import differences
from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.serve.mirror.app import build_app

MANIFEST = load_catalogue().require("qwen3-32b")
COMMIT = MANIFEST.source.revision  # type: ignore[union-attr]
REPO = MANIFEST.source.repo  # type: ignore[union-attr]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Server]:
    store = Store(tmp_path / "hub")
    assert MANIFEST.config is not None
    assert COMMIT is not None
    config = MANIFEST.config | {"architectures": [MANIFEST.architecture], "transformers_version": "5.0"}
    files = {"config.json": json.dumps(config).encode(), "model.safetensors": b"weights"}
    add_artifact(store, "qwen3-32b", files, source=hub_source(REPO, COMMIT), license="apache-2.0")
    with serving(build_app(store)) as server:
        yield server


def planted(**changes: Any) -> ModelManifest:
    return ModelManifest.model_validate(MANIFEST.model_dump() | changes)


def settings(hub: Server, tmp_path: Path, **more: Any) -> Settings:
    return Settings(home=tmp_path / "home", hub_endpoint=hub.url, **more)


def test_what_the_publisher_says_agrees(hub: Server, tmp_path: Path) -> None:
    assert differences(MANIFEST, settings(hub, tmp_path)) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"license": MANIFEST.license.model_dump() | {"spdx": "MIT"}},
            "license.spdx: MIT, and the hub says apache-2.0",
        ),
        (
            {"license": MANIFEST.license.model_dump() | {"spdx": "LicenseRef-Own"}},
            "license.spdx: LicenseRef-Own, and the hub says apache-2.0",
        ),
        ({"architecture": "Qwen9ForCausalLM"}, "architecture: Qwen9ForCausalLM, and config.json says Qwen3ForCausalLM"),
        (
            {"config": (MANIFEST.config or {}) | {"num_hidden_layers": 7}},
            "config.num_hidden_layers: 7, and config.json says 64",
        ),
        (
            {"source": {"kind": "hub", "repo": REPO, "revision": "0" * 40}},
            "source: ",
        ),
        ({"source": {"kind": "hub", "repo": "nobody/nothing"}}, "source: "),
    ],
)
def test_what_differs_is_told(hub: Server, tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    (problem,) = differences(planted(**changes), settings(hub, tmp_path))
    assert problem.startswith(told)


def test_offline_asks_nobody(hub: Server, tmp_path: Path) -> None:
    (problem,) = differences(MANIFEST, settings(hub, tmp_path, offline=True))
    assert "--offline opens no connection" in problem
    assert not hub.seen


def test_the_command_names_the_manifest(hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    file = tmp_path / "qwen3-32b.yaml"
    file.write_text(yaml.safe_dump(planted(architecture="Qwen9ForCausalLM").model_dump(mode="json", by_alias=True)))
    result = CliRunner().invoke(app, ["validate", str(file), "--no-engine", "--hub"])
    assert isinstance(result.exception, ConfigError)
    assert "qwen3-32b: architecture: Qwen9ForCausalLM" in str(result.exception)
    file.write_text(yaml.safe_dump(MANIFEST.model_dump(mode="json", by_alias=True)))
    result = CliRunner().invoke(app, ["validate", str(file), "--no-engine", "--hub"])
    assert "1 manifest(s) are right in form and as the hub has them." in result.output
