"""A gateway replica as far as limits are concerned, in a process of its own: commands on stdin, answers on stdout.

python tests/serve/gateway/quota_replica.py DATABASE_URL LEASE_S
"""

import asyncio
import json
import random
import sys
import time
from typing import Any

from freehold.serve.gateway.errors import OverLimit
from freehold.serve.gateway.principal import Limits
from freehold.serve.gateway.quotas import QuotaBook, Reservation, new_replica_id
from freehold.serve.state import allowances
from freehold.serve.state.database import open_database

KEY = "key_1"
MOST = 400
"""Tokens that one request may use."""


class Replica:
    def __init__(self, url: str, lease_s: float) -> None:
        # The machine may be busy: that must not look like an outage.
        self.database = open_database(url)
        self.book = QuotaBook(self.database, new_replica_id(), lease_s=lease_s, sync_s=0.2, slow_s=60.0)
        self.settled = 0
        self.requests = 0
        self.in_flight: list[tuple[float, float]] = []
        """When each request began and ended; all processes of a machine share this clock."""
        self.is_hammering = False
        self.clients: list[asyncio.Task[None]] = []

    async def take(self, limits: Limits, tokens: int) -> Reservation:
        return self.book.reserve(KEY, limits, tokens, 0) or await self.book.acquire(KEY, limits, tokens, 0)

    async def request(self, limits: Limits) -> None:
        tokens = random.randint(MOST // 4, MOST)
        reservation = await self.take(limits, tokens)
        began = time.monotonic()
        await asyncio.sleep(random.random() * 0.02)
        used = random.randint(tokens // 4, tokens)
        self.in_flight.append((began, time.monotonic()))
        reservation.settle(used, 0)
        self.settled += used
        self.requests += 1

    async def client(self, limits: Limits) -> None:
        """Until the budget is used up, or somebody says stop."""
        while self.is_hammering:
            try:
                await self.request(limits)
            except OverLimit as error:
                if error.code == "insufficient_quota" and error.retry_after_s > 1:
                    return
                await asyncio.sleep(0.05)

    async def do(self, command: dict[str, Any]) -> dict[str, Any]:
        limits = Limits(**command.get("limits", {}))
        match command["do"]:
            case "hammer":
                self.is_hammering = True
                self.clients = [asyncio.create_task(self.client(limits)) for _ in range(command["clients"])]
            case "finish":
                await asyncio.gather(*self.clients)
            case "stop":
                self.is_hammering = False
                await asyncio.gather(*self.clients)
            case "hold":
                try:
                    await self.take(limits, command["tokens"])
                except OverLimit:
                    return {"held": False}
                return {"held": True}
            case "close":
                await self.book.close()
                self.database.close()
        return {"away": self.book.is_away, "settled": self.settled, "requests": self.requests}


async def main() -> None:
    allowances.LOCK_TIMEOUT = allowances.IDLE_TIMEOUT = "60000"
    replica = Replica(sys.argv[1], float(sys.argv[2]))
    await replica.book.start()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        answer = await replica.do(command)
        if command["do"] == "close":
            answer["in_flight"] = replica.in_flight
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
