"""The command: every check is asked, a failing one does not hide the next, and the exit code tells."""

import json
from collections.abc import Sequence

import pytest
from typer.testing import CliRunner

from freehold.core.cli.doctor import app
from freehold.core.doctor.check import Check, Finding, SimpleCheck, Status
from freehold.core.doctor.examination import examine, installed_checks
from freehold.core.errors import EnvironmentProblem
from freehold.core.settings import load_settings

FINE = SimpleCheck("fine", lambda: Finding(Status.OK, "all is well"))
SLOW = SimpleCheck("slow", lambda: Finding(Status.WARN, "it limps", "Buy it a stick."))


def broken() -> Finding:
    raise EnvironmentProblem("There is no floor", why="it was sold", next_step="Buy a floor.")


BROKEN = SimpleCheck("broken", broken)


def run(monkeypatch: pytest.MonkeyPatch, checks: Sequence[Check], *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr("freehold.core.doctor.examination.installed_checks", lambda settings: checks)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_an_error_counts_as_a_failure_and_the_rest_is_still_asked() -> None:
    assert [finding for _, finding in examine([BROKEN, FINE])] == [
        Finding(Status.FAIL, "There is no floor: it was sold", "Buy a floor."),
        Finding(Status.OK, "all is well"),
    ]


def test_a_table_with_remedies_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, hints = run(monkeypatch, [FINE, SLOW])
    assert code == 0
    assert out.splitlines() == ["CHECK  STATUS  FINDING", "fine   ok      all is well", "slow   warn    it limps"]
    assert hints == "slow: Buy it a stick.\n"


def test_one_failure_makes_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run(monkeypatch, [BROKEN, FINE], "--format", "json")
    assert code == 1
    assert json.loads(out) == [
        {
            "check": "broken",
            "status": "fail",
            "finding": "There is no floor: it was sold",
            "remedy": "Buy a floor.",
        },
        {"check": "fine", "status": "ok", "finding": "all is well", "remedy": ""},
    ]


def test_the_checks_of_core_and_of_other_packages_are_found() -> None:
    names = [check.name for check in installed_checks(load_settings())]
    assert names[:7] == ["python", "pins", "gpu", "memory", "disk", "file locks", "port 8000"]
    assert {"openmp"} <= set(names)
    assert len(names) == len(set(names))
