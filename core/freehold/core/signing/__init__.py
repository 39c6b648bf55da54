"""Signatures of OpenSSF model signing: made over an artifact's recorded files, kept in the store, checked offline.

Nothing here imports torch, and `model_signing` itself is imported only where something is signed or checked.
"""

from freehold.core.signing.checking import SignatureCheck, check, check_file, verify
from freehold.core.signing.signature import Signature, read_signature
from freehold.core.signing.signer import Signer
from freehold.core.signing.stored import add_signature, sign_artifact, signatures
from freehold.core.signing.trust import Trust, is_pem

__all__ = [
    "Signature",
    "SignatureCheck",
    "Signer",
    "Trust",
    "add_signature",
    "check",
    "check_file",
    "is_pem",
    "read_signature",
    "sign_artifact",
    "signatures",
    "verify",
]
