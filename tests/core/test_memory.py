"""Large pages are asked for before torch looks, and torch takes them."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")

HELD = """
from freehold.core.memory import take_large_pages
take_large_pages()
import torch
held = torch.ones(64 << 20)
for line in open("/proc/self/smaps_rollup"):
    if line.startswith("AnonHugePages"):
        print(line.split()[1])
"""

ASKED = """
import os, sys
class Watch:
    def find_spec(self, name, *rest):
        if name == "torch":
            print(os.environ.get("THP_MEM_ALLOC_ENABLE"))
            os._exit(0)
sys.meta_path.insert(0, Watch())
sys.stdout.reconfigure(line_buffering=True)
from freehold.finetune.cli.finetune import finetune
finetune(model="any", data=["any.jsonl"])
"""


def _said(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_torch_takes_large_pages() -> None:
    if not PAGES.is_file() or "[never]" in PAGES.read_text():
        pytest.skip("this kernel gives no large pages")
    assert int(_said(HELD)) > 32 << 10, "of 256 MiB, in KiB; without asking 2 MiB are large, and some may be fragmented"


def test_finetune_asks_for_them_before_torch_is_imported() -> None:
    assert _said(ASKED) == "1"
