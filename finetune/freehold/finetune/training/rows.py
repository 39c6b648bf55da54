"""Tokenised examples in columns of ragged arrays: compact, and mapped from a file when a run is resumed or shared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

Tokens = NDArray[np.int32]


@dataclass(frozen=True)
class Column:
    """A sequence of integers per row, end to end in one array."""

    values: Tokens
    """Shape (sum of lengths,)."""
    offsets: NDArray[np.int64]
    """Shape (rows + 1,): row i is `values[offsets[i]:offsets[i + 1]]`."""

    @classmethod
    def of(cls, rows: Iterable[Sequence[int] | Tokens]) -> "Column":
        arrays = [np.asarray(row, dtype=np.int32) for row in rows]
        offsets = np.zeros(len(arrays) + 1, dtype=np.int64)
        np.cumsum([len(array) for array in arrays], out=offsets[1:])
        return cls(np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.int32), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Tokens:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)


@dataclass(frozen=True)
class Rows:
    """What an objective trains on. A torch map-style dataset: each item is a dict of one array per column."""

    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, row: int) -> dict[str, Tokens]:
        if not 0 <= row < len(self):
            raise IndexError(row)
        return {name: column[row] for name, column in self.columns.items()}

    def take(self, chosen: Sequence[int]) -> "Rows":
        """The chosen rows, in that order."""
        return Rows({name: Column.of(column[row] for row in chosen) for name, column in self.columns.items()})

    def save(self, path: Path) -> None:
        arrays: dict[str, NDArray[np.signedinteger[Any]]] = {}
        for name, column in self.columns.items():
            arrays[f"{name}.values"] = column.values
            arrays[f"{name}.offsets"] = column.offsets
        save_file(arrays, path)

    @classmethod
    def load(cls, path: Path) -> "Rows":
        arrays = load_file(path)
        names = [key.removesuffix(".offsets") for key in arrays if key.endswith(".offsets")]
        return cls({name: Column(arrays[f"{name}.values"], arrays[f"{name}.offsets"]) for name in sorted(names)})
