"""What runs in the toolkit's image needs no torch, no transformers and no engine."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PROBE = """
import sys
for name in ("torch", "transformers", "vllm", "peft", "safetensors", "numpy", "datasets", "ray"):
    sys.modules[name] = None  # importing it raises ImportError
import importlib
importlib.import_module(sys.argv[1])
"""
MODULES = (
    "freehold.serve.cluster.preparing",
    "freehold.serve.cluster.attending",
    "freehold.serve.cluster.fronting",
    "freehold.serve.deploying.writing",
    "freehold.serve.deploying.bundle",
    "freehold.serve.mirror.app",
    "freehold.core.hub.pull",
)


@pytest.mark.parametrize("module", MODULES)
def test_it_is_imported_without_them(module: str) -> None:
    ended = subprocess.run([sys.executable, "-c", PROBE, module], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
