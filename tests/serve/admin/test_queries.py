"""A query that says two things is refused rather than half read."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from fixtures.house import House, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield await open_house(stack, f"sqlite:///{tmp_path / 'gateway.db'}")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("recordings?route=a&route=b", 400),
        ("keys?team=a&team=b", 400),
        ("usage?by=team&by=model", 400),
        ("usage?by=team&team=a&team=b", 200),
        ("keys?team=a", 200),
    ],
)
async def test_a_parameter_counts_once_or_is_refused(house: House, query: str, status: int) -> None:
    async with house.admin.get(f"/admin/v1/{query}") as answer:
        assert answer.status == status, await answer.text()
        if status == 400:
            error = (await answer.json())["error"]
            assert (error["code"], error["param"]) == ("repeated_parameter", query.split("?")[1].split("=")[0])
