"""Images, sounds and videos of a parsed request, wherever they stand in it and in whatever API's form.

Like `places`, it goes by the shape of a part, not by the path of the request or the `type` beside it.
"""

import re
from dataclasses import dataclass
from typing import Any

from freehold.serve.gateway.media.places import FREE_FORM
from freehold.serve.senses import Modality

_KEYS = {
    **dict.fromkeys(("image_url", "input_image", "image", "images"), Modality.IMAGE),
    **dict.fromkeys(("audio_url", "input_audio", "audio"), Modality.AUDIO),
    **dict.fromkeys(("video_url", "input_video", "video"), Modality.VIDEO),
}
_INNER = ("url", "data")
"""Where a part's own object has the file."""
# A key, or the type of a part whose key is `url` or `source`. One quote is sought faster than several words.
_START = re.compile(rb'"(?:image|audio|video|input_[iav])')


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a request. `param` is its path as an error names it: `messages[0].content[1].image_url.url`."""

    modality: Modality
    param: str
    encoded: str
    """Base64; empty where it is named by URL."""


def may_have_parts(body: bytes) -> bool:
    """False if a JSON body certainly has none; some microseconds for 10 KB of text."""
    # Who escapes a letter hides a key.
    return _START.search(body) is not None or (b"\\" in body and b"\\u00" in body)


def find_parts(document: Any) -> list[Part]:
    """Every file in a parsed request. Raises RecursionError."""
    found: list[Part] = []
    _walk(document, "", found)
    return found


def _walk(node: Any, path: str, found: list[Part]) -> None:
    if isinstance(node, list):
        for index, value in enumerate(node):
            if isinstance(value, dict | list):
                _walk(value, f"{path}[{index}]", found)
        return
    if not isinstance(node, dict):
        return
    kind = node.get("type")
    own = _KEYS.get(kind) if isinstance(kind, str) else None
    for key, value in node.items():
        place = f"{path}.{key}" if path else key
        modality = _KEYS.get(key)
        if modality is not None:
            _take(value, place, modality, found)
        elif own is not None and key in ("source", "url"):
            _take(value, place, own, found)
        elif not (key in FREE_FORM or (key == "input" and path)):
            _walk(value, place, found)


def _take(value: Any, param: str, modality: Modality, found: list[Part]) -> None:
    """What stands where a file is expected: the file, an object around it, or several."""
    if isinstance(value, str) and value:
        found.append(Part(modality, param, _encoded(value)))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _take(each, f"{param}[{index}]", modality, found)
    elif isinstance(value, dict):
        for key in _INNER:
            if isinstance(value.get(key), str):
                _take(value[key], f"{param}.{key}", modality, found)


def _encoded(text: str) -> str:
    if text[:5].lower() == "data:":
        return text.partition(",")[2]
    return "" if "://" in text[:64] else text
