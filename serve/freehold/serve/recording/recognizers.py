"""presidio's recognisers, as they are needed here: quick, offline, and for addresses inside a company too."""

import re
from typing import Any

SCORE_THRESHOLD = 0.35
"""Below are patterns that need words around them to mean anything: nine digits as a social security number."""

_PHONE_CANDIDATE = re.compile(r"[+(]{0,2}\d[\d\s().\-/]{5,}\d")
_PHONE_DIGITS = 7


def build_recognizers() -> list[Any]:
    """Recognisers, each with `analyze(text, entities, None)`. Raises ImportError without presidio."""
    from presidio_analyzer import predefined_recognizers as known

    return [
        _email_recognizer(),
        _phone_recognizer(),
        known.CreditCardRecognizer(),
        known.IbanRecognizer(),
        known.IpRecognizer(),
        known.MacAddressRecognizer(),
        known.CryptoRecognizer(),
        known.UsSsnRecognizer(),
        known.UsItinRecognizer(),
        known.UkNinoRecognizer(),
        known.NhsRecognizer(),
    ]


def _email_recognizer() -> Any:
    from presidio_analyzer.predefined_recognizers import EmailRecognizer

    class AnyEmailRecognizer(EmailRecognizer):
        """Takes every domain. presidio's own asks publicsuffix.org over the network, and refuses `x@mail.internal`."""

        def validate_result(self, pattern_text: str) -> None:
            return None

    return AnyEmailRecognizer()


def _phone_recognizer() -> Any:
    from presidio_analyzer.predefined_recognizers import PhoneRecognizer

    class QuickPhoneRecognizer(PhoneRecognizer):
        """Looks where enough digits are. Over whole texts phonenumbers takes 50 ms for a kilobyte and eight regions."""

        def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
            found = []
            for candidate in _PHONE_CANDIDATE.finditer(text):
                if sum(map(str.isdigit, candidate[0])) < _PHONE_DIGITS:
                    continue
                # With its neighbours: a letter or a currency sign there means that it is no phone number.
                start = max(candidate.start() - 1, 0)
                for result in super().analyze(text[start : candidate.end() + 1], entities, nlp_artifacts):
                    result.start += start
                    result.end += start
                    found.append(result)
            return found

    return QuickPhoneRecognizer()
