"""What presidio finds and what it leaves alone; importing it takes seconds."""

import logging

import pytest

from freehold.core.errors import EnvironmentProblem
from freehold.serve.recording import redaction
from freehold.serve.recording.redaction import Redactor, build_redactor, check_redaction

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    # Sockets are forbidden in tests: presidio's own e-mail recogniser would ask publicsuffix.org here.
    return build_redactor()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jane.doe+x@example.co.uk today", "Write to <EMAIL_ADDRESS> today"),
        ("and jane@mail.internal.", "and <EMAIL_ADDRESS>."),
        ("ünal@exämple.de", "<EMAIL_ADDRESS>"),
        ("Call +1 202-555-0123 now", "Call <PHONE_NUMBER> now"),
        ("Call (202) 555-0123 now", "Call <PHONE_NUMBER> now"),
        ("Tel. +49 30 901820, please", "Tel. <PHONE_NUMBER>, please"),
        ("card 4111 1111 1111 1111!", "card <CREDIT_CARD>!"),
        ("card 4111-1111-1111-1111!", "card <CREDIT_CARD>!"),
        ("pay DE89370400440532013000 now", "pay <IBAN_CODE> now"),
        ("from 192.0.2.17 to 2001:db8::1", "from <IP_ADDRESS> to <IP_ADDRESS>"),
        ("mac 00:1A:2B:3C:4D:5E", "mac <MAC_ADDRESS>"),
        ("ssn 536-90-4399", "ssn <US_SSN>"),
        ("nino AB123456C", "nino <UK_NINO>"),
        ("wallet 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "wallet <CRYPTO>"),
    ],
)
def test_personal_data_is_replaced(redactor: Redactor, text: str, expected: str) -> None:
    redacted, found = redactor(text)
    assert redacted == expected
    assert all(value in text and f"<{name}>" in expected for value, name in found.items())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Released on 2026-03-01T10:11:12 as version 3.11.7, 1,000,000 times",
        "It costs $12,345.67",
        "std::vector<int> a[10]; x = y @ z",
        "chatcmpl-123e4567-e89b-12d3-a456-426614174000",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "4111 1111 1111 1112 fails its checksum",
        "Jane Doe lives in Paris",  # names need a language model; the documentation says so
    ],
)
def test_other_texts_stay(redactor: Redactor, text: str) -> None:
    assert redactor(text) == (text, {})


@pytest.mark.parametrize("before", [0, 7780, 7790, 7799, 7800, 7990, 7999, 8000, 30_000])
def test_nothing_hides_at_the_edge_of_a_window(redactor: Redactor, before: int) -> None:
    redacted, _ = redactor("x" * before + " jane.doe@example.com " + "y" * 9000)
    assert redacted == "x" * before + " <EMAIL_ADDRESS> " + "y" * 9000


def test_a_search_that_presidio_gave_up_is_an_error(redactor: Redactor, monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = redactor._recognizers[0]
    pattern = recognizer.patterns[0]

    class GivesUp:
        def finditer(self, text: str, timeout: float) -> None:
            raise TimeoutError

    redactor("warm")  # compiles the pattern
    monkeypatch.setattr(pattern, "compiled_regex", GivesUp())
    monkeypatch.setattr(logging.getLogger("presidio-analyzer"), "propagate", False)
    with pytest.raises(TimeoutError):
        redactor("never seen before: jane@example.com")


def test_the_check_passes_here() -> None:
    check_redaction()


def test_a_redactor_that_finds_nothing_does_not_pass_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "build_recognizers", list)
    with pytest.raises(EnvironmentProblem, match="EMAIL_ADDRESS"):
        check_redaction()


def test_a_recogniser_that_is_lost_does_not_pass_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    without_cards = [item for item in redaction.build_recognizers() if "CREDIT_CARD" not in item.supported_entities]
    monkeypatch.setattr(redaction, "build_recognizers", lambda: without_cards)
    with pytest.raises(EnvironmentProblem, match="CREDIT_CARD"):
        check_redaction()
