"""A lease that runs out under the process that holds it."""

import asyncio
from typing import Any

import pytest
from fixtures.batch_house import HEARTBEAT_S, BatchHouse, forget_leases, over, some, start_batch
from fixtures.house import answer_three
from fixtures.stub_engine import Call
from fixtures.tuning_house import until
from sqlalchemy import Connection

from freehold.serve.state.batches import BatchRecord, get_batch
from freehold.serve.state.database import now

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("house", [{"batches": {"concurrentBatches": 2, "concurrency": 2}}], indirect=True)
async def test_who_is_late_to_renew_it_does_not_take_the_batch_a_second_time(
    house: BatchHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unrenewed(connection: Connection, batch_id: str, *_: Any, **__: Any) -> tuple[BatchRecord, float]:
        return get_batch(connection, batch_id, None), now(connection)

    go = asyncio.Event()

    async def held(call: Call) -> None:
        await go.wait()
        await answer_three(call)

    async def is_asked() -> bool:
        return len(house.tiny.calls) == 2

    house.tiny.answer = held
    monkeypatch.setattr("freehold.serve.batches.holding.keep_batch", unrenewed)
    client = await house.client()
    batch = await start_batch(client, some(2))
    await until(is_asked)
    await house.database.run(forget_leases)
    await asyncio.sleep(5 * HEARTBEAT_S)
    go.set()
    assert (await over(client, batch.id)).status == "completed"
    assert len(house.tiny.calls) == 2
