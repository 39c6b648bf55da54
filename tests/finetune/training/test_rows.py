"""Rows in columns, and the order that they are learnt in."""

from pathlib import Path

import numpy as np
import pytest

from freehold.finetune.training.order import BLANK, Order
from freehold.finetune.training.rows import Column, Rows

ROWS = Rows({"input_ids": Column.of([[1, 2, 3], [], [4]]), "trained": Column.of([[0, 1, 1], [], [1]])})


def test_rows_come_back_from_their_file(tmp_path: Path) -> None:
    ROWS.save(tmp_path / "rows.safetensors")
    found = Rows.load(tmp_path / "rows.safetensors")
    assert [found[row]["input_ids"].tolist() for row in range(3)] == [[1, 2, 3], [], [4]]
    assert found[0]["trained"].tolist() == [0, 1, 1]
    assert found.columns["input_ids"].lengths.tolist() == [3, 0, 1]


def test_rows_end_where_they_end() -> None:
    with pytest.raises(IndexError):
        ROWS[3]
    assert [row["input_ids"].tolist() for row in ROWS.take([2, 0])] == [[4], [1, 2, 3]]


LENGTHS = np.random.default_rng(0).integers(1, 60, size=100)


def test_each_row_comes_once_an_epoch_and_blanks_fill_the_last_batch() -> None:
    order = list(Order(LENGTHS, 8, seed=0))
    assert len(order) == len(Order(LENGTHS, 8, seed=0)) == 104
    assert sorted(row for row in order if row != BLANK) == list(range(100))
    assert order.count(BLANK) == 4


def test_epochs_differ_and_a_resumed_one_does_not() -> None:
    order, resumed = Order(LENGTHS, 8, seed=3), Order(LENGTHS, 8, seed=3)
    first = list(order)
    order.set_epoch(1)
    resumed.set_epoch(1)
    assert list(order) == list(resumed) != first
    assert list(Order(LENGTHS, 8, seed=4)) != first


def test_batches_hold_rows_of_like_length() -> None:
    order = [row for row in Order(LENGTHS, 8, seed=0) if row != BLANK]
    batches = [LENGTHS[order[i : i + 8]] for i in range(0, len(order) - 8, 8)]
    padded = sum(batch.max() * len(batch) for batch in batches)
    assert padded < 1.25 * sum(batch.sum() for batch in batches)
