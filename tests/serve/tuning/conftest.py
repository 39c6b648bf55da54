"""A gateway that takes files and fine-tuning jobs."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from fixtures.tuning_house import TuningHouse


@pytest.fixture
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TuningHouse]:
    """Its runner is not started. A parameter is further fields of `tuning`."""
    section: dict[str, Any] = getattr(request, "param", {})
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    async with AsyncExitStack() as stack:
        house = TuningHouse(url, **section)
        await house.open(stack)
        yield house
    house.database.close()
