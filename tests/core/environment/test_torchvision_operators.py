"""A torchvision for CUDA beside a CPU torch: what its import misses is declared, and nothing is done elsewhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from freehold.core.environment.torchvision_operators import MODULE, install

CUDA, CPU = "+cu130", "+cpu"


def _packages(folder: Path, torchvision: str, torch: str) -> Path:
    """Both packages as far as `install` looks at them; torchvision's import does what the real one's does."""
    for name, version in (("torchvision", torchvision), ("torch", torch)):
        (folder / name).mkdir(parents=True)
        (folder / name / "version.py").write_text(f"from typing import Optional\n\n__version__ = '1.0{version}'\n")
    (folder / "torchvision" / "__init__.py").write_text("from . import extension\nfrom . import described\n")
    (folder / "torchvision" / "extension.py").write_text("")
    (folder / "torchvision" / "described.py").write_text(
        "import torch\n\n\n@torch.library.register_fake('torchvision::nms')\ndef nms(dets, scores, t):\n    return dets\n"
    )
    return folder


@pytest.mark.parametrize(
    ("torchvision", "torch", "needed"), [(CUDA, CPU, True), (CUDA, CUDA, False), (CPU, CPU, False)]
)
def test_installs_where_it_is_needed_alone(tmp_path: Path, torchvision: str, torch: str, needed: bool) -> None:
    folder = _packages(tmp_path, torchvision, torch)
    assert install(folder) is needed
    assert {path.name for path in folder.glob(f"{MODULE}*")} == ({f"{MODULE}.py", f"{MODULE}.pth"} if needed else set())


def test_an_environment_without_torchvision_is_left_alone(tmp_path: Path) -> None:
    assert install(tmp_path) is False
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_import_fails_without_and_goes_through_with_it(tmp_path: Path) -> None:
    folder = _packages(tmp_path / "packages", CUDA, CPU)
    before = _import(folder)
    assert before.returncode and "operator torchvision::nms does not exist" in before.stderr
    install(folder)
    after = _import(folder)
    assert after.returncode == 0, after.stderr
    assert after.stdout == "declared, and not before\n"


def _import(folder: Path) -> "subprocess.CompletedProcess[str]":
    """In a Python that reads the folder's `.pth` files, as it reads those of its own environment."""
    (folder / "torch" / "version.py").unlink(missing_ok=True)
    (folder / "torch").rmdir() if (folder / "torch").exists() else None
    script = (
        f"import site, sys; site.addsitedir({str(folder)!r}); early = 'torch' in sys.modules; import torchvision, torch;"
        "torch.ops.torchvision.nms; print('declared, and not before' if not early else 'torch was imported early')"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
