"""What the machine must have; each lack is one line with its remedy."""

import importlib.util
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from freehold.core.environment import __main__ as command
from freehold.core.environment.venv import (
    make_venv,
    python_version,
    require_disk,
    require_machine,
    require_venv_module,
    works,
)
from freehold.core.errors import EnvironmentProblem, UserError

BOOTSTRAP = """
import sys
sys.path.insert(0, sys.argv[1])
from freehold.core.environment import __main__, clone, shared
assert "site" not in sys.modules, "the test must run without any package"
"""


def test_everything_the_bootstrap_imports_is_in_the_standard_library() -> None:
    core = Path(__file__).parents[3] / "core"
    command = [sys.executable, "-I", "-S", "-c", BOOTSTRAP, str(core)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_an_old_python_is_turned_away_in_two_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command.sys, "version_info", (3, 9, 18))
    monkeypatch.setattr(command.sys, "version", "3.9.18 (main)")
    assert command.main() == 7
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "freehold: Python 3.9.18 is too old: Freehold needs 3.11 or newer."
    assert len(said) == 2


def test_a_python_without_venv_names_the_debian_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object())
    with pytest.raises(EnvironmentProblem) as caught:
        require_venv_module()
    assert "apt-get install python3-venv" in caught.value.next_step


def test_a_full_disk_says_how_much_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * 1024**3))
    require_disk(tmp_path / "not" / "yet", 2)
    with pytest.raises(EnvironmentProblem, match=r"2\.0 GiB free: .* need 7 GiB, 5\.0 GiB more"):
        require_disk(tmp_path / "not" / "yet", 7)


def test_another_kind_of_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(EnvironmentProblem, match="This machine is Darwin arm64"):
        require_machine()


def test_the_version_of_a_python_at_a_path(tmp_path: Path) -> None:
    assert python_version(Path(sys.executable)) == "{}.{}".format(*sys.version_info[:2])
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho 3.9\n")
    old.chmod(0o755)
    with pytest.raises(UserError, match=r"is Python 3\.9: 3\.11 or newer is needed"):
        python_version(old)
    with pytest.raises(UserError, match="is no Python that runs"):
        python_version(tmp_path / "none")


def test_an_environment_whose_python_went_away_does_not_work(tmp_path: Path) -> None:
    make_venv(tmp_path / "environment", with_pip=False)
    assert works(tmp_path / "environment")
    (tmp_path / "environment" / "bin" / "python").unlink()
    (tmp_path / "environment" / "bin" / "python").symlink_to(tmp_path / "uninstalled")
    assert not works(tmp_path / "environment")


def test_a_failed_venv_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem, match="failed"):
        make_venv(tmp_path / "file" / "environment")
