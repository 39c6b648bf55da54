"""What is read off the processor."""

from pathlib import Path

import pytest

from freehold.core.processor import cpu_has_bfloat16


@pytest.mark.parametrize(("flags", "found"), [("fpu sse avx512f", False), ("fpu avx512_bf16", True), ("bf16", True)])
def test_bfloat16_is_read_off_the_processor(tmp_path: Path, flags: str, found: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    assert cpu_has_bfloat16(tmp_path / "cpuinfo") is found
