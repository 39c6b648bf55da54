"""The tiny model as a base in a store."""

from pathlib import Path

import pytest
from fixtures.trained import add_base

from freehold.core.store import Artifact, Store


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is trained on the way."""
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that the tests of a module share."""
    return Store(tmp_path_factory.mktemp("shelf") / "store")


@pytest.fixture(scope="module")
def base(shelf: Store, tiny_model: Path) -> Artifact:
    """The tiny model, in it."""
    return add_base(shelf, tiny_model)
