"""A signature as its file says it: who claims to have signed what. Nothing is believed yet."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from freehold.core.errors import IntegrityError


@dataclass(frozen=True)
class Signature:
    """A Sigstore bundle around an in-toto statement (https://docs.sigstore.dev/about/bundle/)."""

    path: Path
    kind: Literal["key", "certificate"]
    signer: str
    """Of a certificate its subject, `CN=Models,O=Example`; of a key `key <first 16 hex digits of its id>`."""
    key_id: str
    """Hex SHA-256 of the public key's PEM text: model signing's own hint for keys."""
    digests: dict[str, str]
    """Hex digests by path of the files that it claims to cover."""


def key_id(public_key: Any) -> str:
    """Hex SHA-256 of a public key's PEM text."""
    pem = public_key.public_bytes(
        encoding=serialization.Encoding.PEM, format=serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(pem).hexdigest()


def read_signature(path: Path) -> Signature:
    """Read a signature. Raises IntegrityError on what is none."""
    try:
        bundle = json.loads(path.read_bytes())
        statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        digests = {str(one["name"]): str(one["digest"]) for one in statement["predicate"]["resources"]}
        return _read_material(path, bundle["verificationMaterial"], digests)
    except (OSError, ValueError, KeyError, TypeError, IndexError, binascii.Error) as error:
        raise IntegrityError(
            f"{path} is no signature of model signing by a key or a certificate",
            why=f"{type(error).__name__}: {error}",
            next_step="Remove the file, and sign again with `freehold store sign`.",
        ) from error


def _read_material(path: Path, material: dict[str, Any], digests: dict[str, str]) -> Signature:
    if "x509CertificateChain" in material:
        (first, *_) = material["x509CertificateChain"]["certificates"]
        certificate = x509.load_der_x509_certificate(base64.b64decode(first["rawBytes"]))
        subject = certificate.subject.rfc4514_string()
        return Signature(path, "certificate", subject, key_id(certificate.public_key()), digests)
    hint = str(material["publicKey"]["hint"])
    return Signature(path, "key", f"key {hint[:16]}", hint, digests)
