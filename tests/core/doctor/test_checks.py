"""Each check finds what is planted for it and names its remedy."""

import fcntl
import socket
from pathlib import Path

import pytest

from freehold.core.doctor.check import Finding, Status
from freehold.core.doctor.gpu import check_gpu, judge
from freehold.core.doctor.network import check_port
from freehold.core.doctor.pins import check_pins, installed_versions
from freehold.core.doctor.python import check_python
from freehold.core.doctor.storage import GIB, check_disk, check_file_locks, check_memory
from freehold.core.environment.lock import Lock, Pin

LINUX = ("Linux", "x86_64")


@pytest.mark.parametrize(
    ("version", "machine", "expected"),
    [
        ((3, 11), LINUX, Status.OK),
        ((3, 13), LINUX, Status.OK),
        ((3, 10), LINUX, Status.FAIL),
        ((3, 14), LINUX, Status.WARN),
        ((3, 12), ("Darwin", "arm64"), Status.WARN),
    ],
)
def test_python(version: tuple[int, int], machine: tuple[str, str], expected: Status) -> None:
    found = check_python(version, machine)
    assert found.status is expected
    assert bool(found.remedy) is (expected is not Status.OK)


def test_a_pin_that_differs_is_named_with_both_versions() -> None:
    lock = Lock((Pin("torch", "2.13.0+cpu"), Pin("rich", "15.0.0"), Pin("not-here", "1")), "")
    found = check_pins(lock, {"torch": "2.14.0", "rich": "15.0.0", "mine": "0.1"})
    assert found.status is Status.WARN
    assert found.finding == "1 of 2 versions differ from the lock: torch 2.14.0 (locked: 2.13.0+cpu)"
    assert "make clean env" in found.remedy


def test_many_differences_are_counted() -> None:
    lock = Lock(tuple(Pin(f"p{number}", "1") for number in range(9)), "")
    found = check_pins(lock, {f"p{number}": "2" for number in range(9)})
    assert found.finding.startswith("9 of 9 versions differ")
    assert found.finding.endswith("and 5 more")


def test_the_running_environment_is_as_locked() -> None:
    assert check_pins().status is Status.OK
    assert installed_versions()["pytest"] == pytest.__version__


@pytest.mark.parametrize(
    ("line", "expected", "finding"),
    [
        ("NVIDIA H200, 143771, 580.65.06, 9.0", Status.OK, "NVIDIA H200 140 GiB; driver 580.65.06"),
        ("NVIDIA A100, 81920, 535.10, 8.0", Status.FAIL, "too old for CUDA 13"),
        ("Tesla V100, 32768, 580.1, 7.0", Status.FAIL, "Tesla V100 is older than CUDA 13 supports"),
    ],
)
def test_gpu(line: str, expected: Status, finding: str) -> None:
    found = judge([line])
    assert found.status is expected
    assert finding in found.finding
    assert bool(found.remedy) is (expected is Status.FAIL)


def test_no_gpu_is_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("freehold.core.doctor.gpu.has_nvidia_gpu", lambda: False)
    assert check_gpu().status is Status.SKIP


def test_a_gpu_whose_driver_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("freehold.core.doctor.gpu.has_nvidia_gpu", lambda: True)
    found = check_gpu()
    assert (found.status, "--gpus all" in found.remedy) == (Status.FAIL, True)


def test_a_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = check_port(port)
    assert found.status is Status.WARN
    assert f"port {port} cannot be used: Address already in use" in found.finding
    assert "--port" in found.remedy
    assert check_port(port) == Finding(Status.OK, f"port {port} is free")


@pytest.mark.parametrize(("free_gib", "expected"), [(9, Status.WARN), (11, Status.OK)])
def test_disk(tmp_path: Path, free_gib: int, expected: Status) -> None:
    assert check_disk(tmp_path / "not" / "yet", free_gib * GIB).status is expected


@pytest.mark.parametrize(("available_gib", "expected"), [(3, Status.WARN), (5, Status.OK)])
def test_memory(available_gib: int, expected: Status) -> None:
    assert check_memory(available_gib * GIB).status is expected


def test_file_locks_hold_here(tmp_path: Path) -> None:
    assert check_file_locks(tmp_path / "not" / "yet").status is Status.OK


def test_a_file_system_that_grants_a_lock_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    found = check_file_locks(tmp_path)
    assert (found.status, found.finding) == (Status.FAIL, f"{tmp_path} grants one lock twice")


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    found = check_file_locks(tmp_path)
    assert (found.status, "No locks available" in found.finding) == (Status.FAIL, True)
