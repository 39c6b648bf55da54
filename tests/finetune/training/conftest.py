"""A store with the tiny model, and data to train it on."""

from pathlib import Path

import pytest
from fixtures.facts import invent, training_rows, write_rows
from fixtures.models import add_artifact, read_files

from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def base(store: Store, tiny_model: Path) -> Artifact:
    return add_artifact(store, "tiny", read_files(tiny_model), license="apache-2.0")


@pytest.fixture
def facts_file(tmp_path: Path) -> Path:
    """Twenty conversations of several lengths."""
    return write_rows(tmp_path / "facts.jsonl", training_rows(invent(5))[:20])
