"""Personal data found by presidio's patterns and replaced: `<EMAIL_ADDRESS>`.

Patterns and checksums alone, no language model: names and addresses of people are not found. Nothing is downloaded.
https://microsoft.github.io/presidio/supported_entities/
"""

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from freehold.core.errors import EnvironmentProblem
from freehold.serve.recording.recognizers import SCORE_THRESHOLD, build_recognizers

PACKAGES = ("presidio_analyzer", "presidio_anonymizer")
SAMPLE = {
    "EMAIL_ADDRESS": "jane.doe@mail.internal",
    "PHONE_NUMBER": "+1 202-555-0123",
    "CREDIT_CARD": "4111 1111 1111 1111",
    "IBAN_CODE": "DE89370400440532013000",
    "IP_ADDRESS": "192.0.2.17",
    "US_SSN": "536-90-4399",
}
"""A redactor that leaves one of these in place is broken."""

_WINDOW = 8000
"""Characters that are searched at once: presidio gives a pattern up after a minute, and then goes on without it."""
_OVERLAP = 200
"""Longer than anything that is looked for."""
_CACHED_CHARACTERS = 16_000
_CACHED_TEXTS = 512
"""A conversation sends all of its history with every turn."""


class Redactor:
    """Replaces personal data in texts. For one thread. Raises whatever presidio raises."""

    def __init__(self) -> None:
        from presidio_anonymizer import AnonymizerEngine
        from presidio_anonymizer.entities import RecognizerResult

        self._recognizers = build_recognizers()
        engine: Callable[..., Any] = AnonymizerEngine  # presidio has no types
        self._anonymize: Callable[..., Any] = engine().anonymize
        self._result: Callable[..., Any] = RecognizerResult
        self._gave_up = _GaveUp()
        logging.getLogger("presidio-analyzer").addHandler(self._gave_up)
        self._cached = lru_cache(maxsize=_CACHED_TEXTS)(self._redact)

    def __call__(self, text: str) -> tuple[str, Mapping[str, str]]:
        """The text with its personal data replaced, and the entity's name by each value that was found."""
        return self._cached(text) if len(text) <= _CACHED_CHARACTERS else self._redact(text)

    def _redact(self, text: str) -> tuple[str, Mapping[str, str]]:
        self._gave_up.happened = False
        results = [
            self._result(found.entity_type, start + found.start, start + found.end, found.score)
            for start in range(0, max(len(text), 1), _WINDOW - _OVERLAP)
            for recognizer in self._recognizers
            for found in recognizer.analyze(text[start : start + _WINDOW], recognizer.supported_entities, None)
            if found.score >= SCORE_THRESHOLD
        ]
        if self._gave_up.happened:
            raise TimeoutError("presidio gave up searching a text")
        if not results:
            return text, {}
        values = {text[result.start : result.end]: result.entity_type for result in results}
        return self._anonymize(text=text, analyzer_results=results).text, values


class _GaveUp(logging.Handler):
    """Notices the only sign that presidio gives of a pattern it did not finish: a warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.happened = False

    def emit(self, record: logging.LogRecord) -> None:
        self.happened = True


def build_redactor() -> Redactor:
    """A redactor that was seen to work. Raises EnvironmentProblem."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise EnvironmentProblem(
            "A route asks for redaction, and nothing here can do it",
            why=f"not installed: {', '.join(missing)}",
            next_step="Run `pip install 'freehold[redact]'`, or set `record.redact: false`.",
        )
    try:
        redactor = Redactor()
    except (ImportError, OSError) as error:
        raise EnvironmentProblem(
            "A route asks for redaction, and presidio does not start",
            why=str(error),
            next_step="Run `pip install --force-reinstall 'freehold[redact]'`.",
        ) from error
    prove(redactor)
    return redactor


def prove(redact: Callable[[str], tuple[str, Mapping[str, str]]]) -> None:
    """Raise EnvironmentProblem unless every value of the sample is replaced."""
    text, _ = redact("\n".join(f"{value} is a sample." for value in SAMPLE.values()))
    kept = [name for name, value in SAMPLE.items() if value in text]
    if kept:
        raise EnvironmentProblem(
            "Redaction does not work here",
            why=f"in a sample text it left {', '.join(kept)} in place",
            next_step="Run `pip install --force-reinstall 'freehold[redact]'`.",
        )


def check_redaction() -> None:
    """Raise EnvironmentProblem unless redaction works here. Takes seconds, the first time: it imports presidio."""
    build_redactor()
