"""Which method a machine is advised to take, and what `--list` says."""

import pytest

from freehold.core.errors import UserError
from freehold.quantize.methods import advice
from freehold.quantize.methods.advice import generation, listing, loads_here, suggest
from freehold.quantize.methods.registry import METHODS, method_named


@pytest.mark.parametrize(
    ("capability", "method", "why"),
    [
        (None, "int8", "there is no GPU here"),
        (7.0, "nf4", "Volta has no fast arithmetic"),
        (7.5, "int8", "Turing multiplies 8-bit integers"),
        (8.0, "int8", "Ampere multiplies 8-bit integers"),
        (8.9, "fp8", "Ada multiplies 8-bit floats"),
        (9.0, "fp8", "Hopper multiplies 8-bit floats"),
        (10.0, "fp8", "Blackwell multiplies 8-bit floats"),
    ],
)
def test_the_suggestion_and_its_reason(
    capability: float | None, method: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suggest(capability, ask=False).name == method
    assert why in capsys.readouterr().err


def test_what_is_suggested_loads_there() -> None:
    for capability in (None, 7.0, 7.5, 8.0, 8.6, 8.9, 9.0, 10.0, 12.0):
        assert loads_here(suggest(capability, ask=False), capability) != "no"


@pytest.mark.parametrize(
    ("method", "capability", "found"),
    [("fp8", None, "no"), ("fp8", 8.0, "loads"), ("fp8", 9.0, "fast"), ("nvfp4", 7.5, "no"), ("int8", None, "loads")],
)
def test_what_loads_here(method: str, capability: float | None, found: str) -> None:
    assert loads_here(METHODS[method], capability) == found


def test_the_weakest_gpu_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "nvidia_smi", lambda *_: ["9.0", "8.0", "[N/A]"])
    assert advice.capability() == 8.0
    assert generation(8.6) == "Ampere"
    monkeypatch.setattr(advice, "nvidia_smi", lambda *_: [])
    assert advice.capability() is None


def test_the_listing_has_every_method() -> None:
    assert [row["method"] for row in listing()] == list(METHODS)


def test_an_unknown_method_names_those_there_are() -> None:
    with pytest.raises(UserError, match="'gguf' is no method of quantization: supported: fp8, fp8-static, int8, int4"):
        method_named("gguf")
