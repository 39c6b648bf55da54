"""A store with a model to quantize."""

from pathlib import Path

import pytest
from fixtures.models import add_artifact, read_files

from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def base(store: Store, tiny_model: Path) -> Artifact:
    return add_artifact(store, "tiny", read_files(tiny_model), license="apache-2.0")
