"""A gateway that takes batches."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from fixtures.batch_house import BatchHouse


@pytest.fixture
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BatchHouse]:
    """A parameter is top-level keys of its config."""
    config: dict[str, Any] = getattr(request, "param", {})
    async with AsyncExitStack() as stack:
        house = BatchHouse(f"sqlite:///{tmp_path / 'gateway.db'}", **config)
        await house.open(stack)
        yield house
    house.database.close()
