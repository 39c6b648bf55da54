"""Whom a check believes: public keys, and certificates that others are issued under."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from freehold.core.errors import ConfigError
from freehold.core.signing.signature import key_id

CURVES = ("secp256r1", "secp384r1", "secp521r1")
"""What model signing takes."""


@dataclass(frozen=True)
class Trust:
    """Keys by id and certificates by subject, as PEM texts. Empty: nobody is believed."""

    keys: dict[str, str]
    certificates: dict[str, str]

    @classmethod
    def load(cls, keys: Iterable[Path | str] = (), certificates: Iterable[Path | str] = ()) -> "Trust":
        """From PEM files, or PEM texts as they stand in a config. Raises ConfigError with every problem at once."""
        problems: list[str] = []
        known_keys: dict[str, str] = {}
        known_certificates: dict[str, str] = {}
        for name, text in _texts(keys, problems):
            if problem := _add_key(text, known_keys):
                problems.append(f"{name}: {problem}")
        for name, text in _texts(certificates, problems):
            if problem := _add_certificates(text, known_certificates):
                problems.append(f"{name}: {problem}")
        if problems:
            raise ConfigError("Not everything that should be trusted can be read", problems)
        return cls(known_keys, known_certificates)

    def __bool__(self) -> bool:
        return bool(self.keys or self.certificates)

    def __str__(self) -> str:
        named = [f"key {one[:16]}" for one in self.keys] + list(self.certificates)
        return ", ".join(named) or "nobody"


def is_pem(given: Path | str) -> bool:
    """Whether this is a PEM text itself, and not the name of a file with one."""
    return "-----BEGIN" in str(given)


def _texts(given: Iterable[Path | str], problems: list[str]) -> Iterable[tuple[str, str]]:
    """What to call each in an error, and its PEM text."""
    for one in given:
        if is_pem(one):
            yield "a PEM text in the config", str(one)
            continue
        try:
            yield str(one), Path(one).read_text()
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{one}: {getattr(error, 'strerror', None) or error}")


def _add_key(text: str, known: dict[str, str]) -> str:
    if "PRIVATE KEY" in text:
        return "a private key; who checks needs the public one (`openssl ec -in FILE -pubout`)"
    try:
        key = serialization.load_pem_public_key(text.encode())
    except (ValueError, TypeError):
        return "no public key in PEM"
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        return f"not an elliptic curve key of {', '.join(CURVES)}"
    known[key_id(key)] = text
    return ""


def _add_certificates(text: str, known: dict[str, str]) -> str:
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return "no certificate in PEM"
    for one in found:
        pem = one.public_bytes(serialization.Encoding.PEM).decode()
        known[one.subject.rfc4514_string()] = known.get(one.subject.rfc4514_string(), "") + pem
    return ""
