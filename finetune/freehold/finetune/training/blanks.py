"""Rows that also answer to `BLANK`, with a row that teaches nothing."""

from dataclasses import dataclass

from freehold.finetune.training.order import BLANK
from freehold.finetune.training.rows import Rows, Tokens


@dataclass(frozen=True)
class WithBlanks:
    """A torch map-style dataset for an `Order`."""

    rows: Rows
    blank: dict[str, Tokens]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Tokens]:
        return self.blank if row == BLANK else self.rows[row]
