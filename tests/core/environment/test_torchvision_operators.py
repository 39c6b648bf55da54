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
        "import torch\n\n\n@torch.library.register_fake('torchvision::nms')\ndef nms(a, b, c):\n    return a\n"
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
    """In a Python that reads the folder's `.pth` files, and has nothing from those of its own environment."""
    (folder / "torch").rename(folder / "not-torch")  # the real one is imported
    script = (
        f"import site, sys; sys.modules.pop({MODULE!r}, None); sys.path.insert(0, {str(folder)!r})\n"
        "sys.meta_path = [each for each in sys.meta_path if type(each).__name__ != 'Declaring']\n"
        f"site.addsitedir({str(folder)!r}); early = 'torch' in sys.modules\n"
        "import torchvision, torch; torch.ops.torchvision.nms\n"
        "print('torch was imported early' if early else 'declared, and not before')"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    (folder / "not-torch").rename(folder / "torch")
    return ended
