"""From sources of data to blocks of tokens of one length, drawn by a seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from freehold.core.errors import UserError
from freehold.core.settings import Settings
from freehold.quantize.texts.reading import read_texts, tokens_of, words_of
from freehold.quantize.texts.shipped import CALIBRATION


@dataclass(frozen=True)
class Calibration:
    """What a tool is shown."""

    token_ids: "np.ndarray[Any, np.dtype[np.int64]]"
    """Samples by sequence length."""
    sources: tuple[str, ...]
    digest: str
    """SHA-256 over the examples as they were understood."""
    texts: tuple[str, ...]
    """What was said in them, to find it again in other text."""
    seed: int

    @property
    def samples(self) -> int:
        return int(self.token_ids.shape[0])

    @property
    def sequence_length(self) -> int:
        return int(self.token_ids.shape[1])


def read_calibration(
    sources: Sequence[str], tokenizer: Any, settings: Settings, *, samples: int, sequence_length: int, seed: int
) -> Calibration:
    """Blocks of the sources' examples, each rendered by the model's own template, in an order drawn by the seed.

    Raises ConfigError with every bad line, UserError for fewer tokens than one block takes.
    """
    data = read_texts(sources, settings, neutral=CALIBRATION)
    order = np.random.default_rng(seed).permutation(len(data.examples))
    stream: list[int] = []
    texts: list[str] = []
    for index in order:
        texts.append(words_of(data.examples[index]))
        stream += tokens_of(data.examples[index], tokenizer)
        if len(stream) >= samples * sequence_length:
            break
    blocks = len(stream) // sequence_length
    if not blocks:
        raise UserError(
            "There is not enough calibration data",
            why=f"{len(stream)} tokens do not fill one sample of {sequence_length}",
            next_step="Give more data, or a shorter --sequence-length.",
        )
    token_ids = np.array(stream[: min(blocks, samples) * sequence_length], dtype=np.int64)
    return Calibration(token_ids.reshape(-1, sequence_length), tuple(sources), data.digest, tuple(texts), seed)
