"""What the console's tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fixtures.console import House, house, signed_in


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[House]:
    """A gateway with two engines and its console, in this process."""
    async with house(tmp_path) as made:
        yield made


@pytest.fixture
async def admin(running: House) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator who has signed in."""
    async with signed_in(running) as client:
        yield client
