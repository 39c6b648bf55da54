"""What one model takes beside text, and what that costs; small enough to be sent between processes."""

from enum import StrEnum

import msgspec

from freehold.serve.senses.images import ImageRule
from freehold.serve.senses.sounds import Sound


class Modality(StrEnum):
    """What a part of a request may be, beside text."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"


class Senses(msgspec.Struct, frozen=True):
    """A model's. A modality that it takes and that has no rule counts as the engine's whole context."""

    takes: frozenset[Modality]
    image: ImageRule | None = None
    sound: Sound | None = None
    heard: Sound | None = None
    """What the engine counts of a sound at `/v1/audio/…`, where that differs."""

    def lacks(self, modality: Modality) -> bool:
        """It certainly does not take this."""
        return modality not in self.takes
