"""What the files of a request weigh before an engine sees them: whether its model takes them, how large they are, and
how many tokens they become.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from freehold.serve.config import MediaConfig
from freehold.serve.engines.engine import Engine
from freehold.serve.gateway.errors import RequestError
from freehold.serve.gateway.media.measuring import decoded, image_size, sound_seconds
from freehold.serve.gateway.media.parts import Part, find_parts, may_have_parts
from freehold.serve.senses import Modality

_THINGS = {Modality.IMAGE: "images", Modality.AUDIO: "sound", Modality.VIDEO: "videos"}


class Weight(NamedTuple):
    """Of all files of one request."""

    tokens: int | None = 0
    """At most so many in the prompt; None where that is not known."""
    encoded_bytes: int = 0
    """What they take of the body, which says nothing of the prompt."""
    seconds: float = 0.0
    """Of sound, as far as headers say."""
    urls: int = 0
    """How many of them are named by URL."""
    windows: int = 1
    """Parts that an engine cuts a file of sound into, each with an answer of its own."""


NO_WEIGHT = Weight()
WINDOW_S = 30
"""vLLM cuts longer files into parts of this length."""


class Weighing:
    """Weighs by the limits of one deployment."""

    def __init__(self, config: MediaConfig) -> None:
        self._max_pixels = config.max_pixels
        self._max_audio_s = config.max_audio_s

    def weigh(self, body: bytes, document: dict[str, Any], engine: Engine) -> Weight:
        """Raises RequestError: `modality_not_supported` for what the model certainly does not take, `media_too_large`
        for an image of too many pixels and a sound that is too long.
        """
        if not may_have_parts(body):
            return NO_WEIGHT
        try:
            parts = find_parts(document)
        except RecursionError as error:
            raise RequestError(
                "The request body is not valid JSON", why="nested too deeply", code="invalid_json"
            ) from error
        _check_senses(parts, engine)
        seconds = [self._seconds(part) for part in parts]
        costs = [self._cost(part, heard, engine) for part, heard in zip(parts, seconds, strict=True)]
        known = [cost for cost in costs if cost is not None]
        tokens = sum(known) if len(known) == len(costs) else None
        return Weight(
            tokens,
            encoded_bytes=sum(len(part.encoded) for part in parts),
            seconds=sum(heard or 0 for heard in seconds),
            urls=sum(not part.encoded for part in parts),
        )

    def weigh_file(self, content: bytes, engine: Engine) -> Weight:
        """Of a file of sound in a form. Raises RequestError as `weigh` does."""
        _check_senses([Part(Modality.AUDIO, "file", "")], engine)
        seconds = self._sound(content, "file")
        most_s = self._max_audio_s if seconds is None else seconds
        rule = engine.senses.heard if engine.senses is not None else None
        tokens = None if rule is None else rule.tokens(most_s)
        return Weight(tokens, len(content), seconds or 0, windows=max(1, math.ceil(most_s / WINDOW_S)))

    def _sound(self, content: bytes, param: str) -> float | None:
        seconds = sound_seconds(content)
        if seconds is not None and seconds > self._max_audio_s:
            raise _too_large(
                param, f"it lasts {seconds:.0f} s, and {self._max_audio_s:g} s are allowed", "gateway.media.maxAudioS"
            )
        return seconds

    def _seconds(self, part: Part) -> float | None:
        is_here = part.modality is Modality.AUDIO and part.encoded
        return self._sound(decoded(part.encoded), part.param) if is_here else None

    def _cost(self, part: Part, seconds: float | None, engine: Engine) -> int | None:
        if part.modality is Modality.IMAGE:
            return self._image(part, engine)
        rule = engine.senses.sound if engine.senses is not None else None
        if part.modality is Modality.VIDEO or rule is None:
            return None
        return rule.tokens(self._max_audio_s if seconds is None else seconds)

    def _image(self, part: Part, engine: Engine) -> int | None:
        size = image_size(part.encoded) if part.encoded else None
        if size is not None and size[0] * size[1] > self._max_pixels:
            why = f"it has {size[0]} x {size[1]} pixels, and {self._max_pixels} are allowed"
            raise _too_large(part.param, why, "gateway.media.maxPixels")
        rule = engine.senses.image if engine.senses is not None else None
        if rule is None:
            return None
        return rule.most if size is None else rule.tokens(*size)


def _check_senses(parts: Sequence[Part], engine: Engine) -> None:
    senses = engine.senses
    if senses is None:
        return
    for part in parts:
        if senses.lacks(part.modality):
            takes = ", ".join(["text", *sorted(senses.takes)])
            raise RequestError(
                f"The model '{engine.name}' takes no {_THINGS[part.modality]}",
                why=f"by its config.json it takes {takes}; {part.param} is a part of type {part.modality}",
                next_step="Leave it out, or ask a model that takes it.",
                code="modality_not_supported",
                param=part.param,
            )


def _too_large(param: str, why: str, limit: str) -> RequestError:
    return RequestError(
        f"The file at {param} is too large",
        why=why,
        next_step=f"Send a smaller one; the limit is {limit}.",
        code="media_too_large",
        param=param,
    )
