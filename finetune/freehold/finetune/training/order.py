"""The order of rows: shuffled by seed and epoch alone, rows of like length together, whole batches always."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

GROUP_BATCHES = 50
"""Batches that are sorted by length together: padding nearly vanishes and the order stays random enough."""

BLANK = -1
"""Stands in the order for a row without tokens to learn. Blanks fill the last batch, so that every optimizer step has
`batch_size` rows: any number of workers and any micro batch then sees the same steps, and no row is learnt twice."""


class Order(Sampler[int]):  # type: ignore[misc]  # torch is Any to mypy
    """Indices of rows, and `BLANK`. The same for each worker, each resumption and each `micro_batch_size`."""

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, *, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch, also by a resumed one."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-len(self._lengths) // self._batch_size) * self._batch_size

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self._seed, self._epoch))
        shuffled = random.permutation(len(self._lengths))
        group = GROUP_BATCHES * self._batch_size
        batches = []
        for start in range(0, len(shuffled), group):
            chunk = shuffled[start : start + group]
            chunk = chunk[np.argsort(-self._lengths[chunk], kind="stable")]
            batches += [chunk[i : i + self._batch_size] for i in range(0, len(chunk), self._batch_size)]
        for batch in random.permutation(len(batches)):
            rows = batches[batch].tolist()
            yield from rows + [BLANK] * (self._batch_size - len(rows))
