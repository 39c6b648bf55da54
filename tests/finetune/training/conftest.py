"""Data to train the tiny model on."""

from pathlib import Path

import pytest
from fixtures.facts import invent, training_rows, write_rows


@pytest.fixture
def facts_file(tmp_path: Path) -> Path:
    """Twenty conversations of several lengths."""
    return write_rows(tmp_path / "facts.jsonl", training_rows(invent(5))[:20])
