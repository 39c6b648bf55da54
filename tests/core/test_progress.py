"""Progress away from a terminal, settings, and human sizes."""

import io
import re
from types import SimpleNamespace

import pytest

from freehold.core.errors import ConfigError
from freehold.core.progress import ByteBar, human_bytes, phase
from freehold.core.settings import load_settings


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB"), (5 << 40, "5.0 TiB")]
)
def test_sizes_read_like_sizes(count: int, text: str) -> None:
    assert human_bytes(count) == text


def test_off_a_terminal_a_bar_is_two_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.core.progress.time", SimpleNamespace(monotonic=lambda: 1.0))
    out = io.StringIO()
    with ByteBar("Pulling m", 2048, already=1024, stream=out) as bar:
        bar.advance(1024)
    first, last = out.getvalue().splitlines()
    assert first == "Pulling m: 2.0 KiB, 1.0 KiB already here"
    assert last.startswith("Pulling m: done in 0.0 s, ")
    assert "\r" not in out.getvalue() and "\x1b" not in out.getvalue()


def test_a_phase_ends_with_its_duration_also_when_it_fails() -> None:
    out = io.StringIO()
    with phase("Importing", out):
        pass
    with pytest.raises(ValueError, match="x"), phase("Importing", out):
        raise ValueError("x")
    lines = out.getvalue().splitlines()
    assert [lines[0], lines[2]] == ["Importing …", "Importing …"]
    assert re.fullmatch(r"Importing: \d+\.\d s", lines[1])
    assert re.fullmatch(r"Importing: failed after \d+\.\d s", lines[3])


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("true", True), ("", False), ("0", False)])
def test_flags_in_the_environment(value: str, offline: bool) -> None:
    assert load_settings({"HOME": "/h", "HF_HUB_OFFLINE": value}).offline is offline


def test_a_flag_that_is_neither_is_an_error_and_no_default() -> None:
    with pytest.raises(ConfigError, match="FREEHOLD_OFFLINE='maybe'"):
        load_settings({"HOME": "/h", "FREEHOLD_OFFLINE": "maybe"})


def test_the_data_folder_follows_the_conventions() -> None:
    assert str(load_settings({"HOME": "/h"}).home) == "/h/.local/share/freehold"
    assert str(load_settings({"HOME": "/h", "XDG_DATA_HOME": "/d"}).home) == "/d/freehold"
    assert str(load_settings({"HOME": "/h", "FREEHOLD_HOME": "/f"}).home) == "/f"
