"""Lets `import torchvision` go through beside a CPU torch: its published build links against CUDA, and two declarations
are all that its import then misses.

Where the compiled part cannot be loaded, torchvision goes on in Python: resizing and normalizing, which is what image
processors take it for, need no more. But it describes two operators of that part (`nms`, `qnms`) to torch, and torch
raises RuntimeError for operators that nobody declared. They are declared here, without an implementation: what calls
them (detectors of boxes) fails with torch's own message.

`install` copies this file into an environment together with a `.pth` that makes every Python there import it: vLLM's
processes too, which import torchvision before they load any plugin. It costs a fraction of a millisecond until somebody
imports torchvision. Standard library alone; torch is imported only by then.
"""

import re
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

MODULE = "_freehold_torchvision"
OPERATORS = ("nms", "qnms")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_CUDA = re.compile(r"^__version__ = ['\"][^'\"]*\+cu\d", re.MULTILINE)
"""How both write into their `version.py` that they were built for CUDA: a version as `2.13.0+cu130`."""

_kept: list[object] = []
"""A declaration lives as long as the object that made it."""


class Declaring(MetaPathFinder):
    """Finds nothing; declares the operators when torchvision itself, or a part of it, is about to be imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # A look-up alone (`find_spec`, as transformers does) imports no torch; the package's first part does.
        if fullname == "torchvision.extension":
            sys.meta_path.remove(self)
            declare()
        return None


def declare() -> None:
    """Tell torch that the operators exist."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in OPERATORS:
        library.define(name + SIGNATURE)
    _kept.append(library)


def is_needed(site_packages: Path) -> bool:
    """Whether a torchvision for CUDA stands beside a torch without it."""
    return _is_for_cuda(site_packages / "torchvision") and not _is_for_cuda(site_packages / "torch")


def install(site_packages: Path) -> bool:
    """Make every Python of an environment declare them; True if it needed that."""
    if not is_needed(site_packages):
        return False
    (site_packages / f"{MODULE}.py").write_bytes(Path(__file__).read_bytes())
    (site_packages / f"{MODULE}.pth").write_text(f"import {MODULE}\n")
    return True


def _is_for_cuda(package: Path) -> bool:
    version = package / "version.py"
    return version.is_file() and _CUDA.search(version.read_text()) is not None


if __name__ == MODULE:
    sys.meta_path.insert(0, Declaring())
