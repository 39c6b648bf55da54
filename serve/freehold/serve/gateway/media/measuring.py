"""The size of an image and the length of a sound, from their headers: nothing is unfolded, so no file is a bomb here.

A header can lie. An engine decodes what is really there, under limits of its own; what it then counts is charged.
"""

import binascii
import io

import imagesize
from tinytag import TinyTag, TinyTagException

HEAD_CHARACTERS = 64 * 1024
"""So much of an image's base64 is decoded first; a JPEG with a large preview in front is decoded whole."""
_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
"""What their bytes begin with. Formats made of text are left out: a parser of XML has no place here."""

Size = tuple[int, int]
"""Width and height in pixels."""


def decoded(encoded: str) -> bytes:
    """The bytes of base64, as far as it can be read; signs that are none of its are skipped, as engines do."""
    try:
        return binascii.a2b_base64(encoded)
    except (binascii.Error, ValueError):
        return b""


def image_size(encoded: str) -> Size | None:
    """Of an image in base64; None where its header does not say."""
    head = _size_of(decoded(encoded[:HEAD_CHARACTERS]))
    if head is None and len(encoded) > HEAD_CHARACTERS:
        return _size_of(decoded(encoded))
    return head


def _size_of(content: bytes) -> Size | None:
    is_known = content.startswith(_IMAGES) or content[4:8] == b"ftyp"
    if not is_known:
        return None
    # Engines turn nothing by EXIF before they measure.
    width, height = imagesize.get(io.BytesIO(content), exif_rotation=False)
    return (int(width), int(height)) if width > 0 and height > 0 else None


def sound_seconds(content: bytes) -> float | None:
    """Of a file of sound; None where its header does not say."""
    try:
        # By what it holds, never by its name. Variable bit rates are extrapolated: 25 MB take 0.06 s.
        seconds = TinyTag.get(file_obj=io.BytesIO(content), tags=False).duration
    except (TinyTagException, ValueError, ArithmeticError):
        return None
    return seconds if seconds is not None and seconds >= 0 else None
