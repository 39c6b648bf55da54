"""What a key's secret is made of, and what is kept of it.

A secret is 32 random bytes, so nobody can guess one from its hash: one SHA-256 is enough, and it takes half a
microsecond on the hot path. A slow hash (bcrypt, argon2) is for passwords, which people choose.
"""

import hashlib
import re
import secrets
from typing import NamedTuple

PREFIX = "fh-"
HINT_LENGTH = len(PREFIX) + 4

_FORM = re.compile(rb"fh-[A-Za-z0-9_-]{43}")


class Secret(NamedTuple):
    """A new secret; only `digest` and `hint` may be stored."""

    text: str
    digest: bytes
    hint: str


def new_secret() -> Secret:
    """`fh-` and 43 characters (URL-safe base64 of 32 random bytes)."""
    text = PREFIX + secrets.token_urlsafe(32)
    return Secret(text, digest_of(text.encode()), text[:HINT_LENGTH])


def digest_of(secret: bytes) -> bytes:
    """The 32 bytes that a secret is found by."""
    return hashlib.sha256(secret).digest()


def may_be_secret(text: bytes) -> bool:
    """Whether `new_secret` could have made it; what could not needs no look into the database."""
    return _FORM.fullmatch(text) is not None
