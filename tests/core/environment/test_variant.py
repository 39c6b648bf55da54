"""CUDA where a GPU is, unless somebody decides otherwise."""

from pathlib import Path

import pytest

from freehold.core.environment.gpu import has_nvidia_gpu
from freehold.core.environment.variant import CPU, CUDA, choose_variant
from freehold.core.errors import UserError


def fake_nvidia_smi(folder: Path, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'GPU 0: NVIDIA H200 (UUID: GPU-1)'", True),
        ("echo 'No devices were found'; exit 6", False),
        ("echo 'GPU 0: stale'; exit 9", False),
    ],
)
def test_nvidia_smi_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: bool) -> None:
    fake_nvidia_smi(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert has_nvidia_gpu(tmp_path / "no-driver") is expected


def test_the_driver_tells_where_nvidia_smi_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not has_nvidia_gpu(tmp_path / "gpus")
    (tmp_path / "gpus").mkdir()
    assert not has_nvidia_gpu(tmp_path / "gpus")
    (tmp_path / "gpus" / "0000:01:00.0").mkdir()
    assert has_nvidia_gpu(tmp_path / "gpus")


@pytest.mark.parametrize(
    ("wanted", "gpu", "expected"), [("", True, CUDA), ("", False, CPU), ("cpu", True, CPU), ("cuda", False, CUDA)]
)
def test_the_variable_decides_before_the_machine(
    monkeypatch: pytest.MonkeyPatch, wanted: str, gpu: bool, expected: object
) -> None:
    monkeypatch.setattr("freehold.core.environment.variant.has_nvidia_gpu", lambda: gpu)
    assert choose_variant({"FREEHOLD_VARIANT": wanted}) is expected


def test_an_unknown_variant_lists_those_there_are() -> None:
    with pytest.raises(UserError, match="FREEHOLD_VARIANT='rocm' is no variant: supported: cpu, cuda"):
        choose_variant({"FREEHOLD_VARIANT": "rocm"})
