"""Redaction that cannot be done is refused before anything starts."""

import importlib.util

import pytest

from freehold.core.errors import EnvironmentProblem
from freehold.serve.recording import check_redaction, redaction


def test_without_the_extra_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(redaction, "find_spec", lambda name: None if name == "presidio_analyzer" else found(name))
    with pytest.raises(EnvironmentProblem, match="presidio_analyzer") as raised:
        check_redaction()
    assert "freehold[redact]" in raised.value.next_step


def test_an_installation_that_does_not_start_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("libfoo.so is missing")

    monkeypatch.setattr(redaction, "Redactor", broken)
    with pytest.raises(EnvironmentProblem, match="libfoo"):
        check_redaction()
