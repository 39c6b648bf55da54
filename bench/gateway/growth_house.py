"""The gateway with everything on and 1,000 keys: `python -m bench.gateway.growth_house PORT ENGINE_URL FOLDER`."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

from sqlalchemy import Table, bindparam, update

from bench.gateway.house import PLENTY_OF_ALL, StaticEngine
from bench.gateway.workloads import MODEL
from freehold.core.settings import Settings
from freehold.serve.config import parse_config
from freehold.serve.gateway import new_event_loop, serve_gateway
from freehold.serve.gateway.routing import RouteTable
from freehold.serve.governing import governance
from freehold.serve.state.database import default_url, open_database
from freehold.serve.state.key_fields import NewKey
from freehold.serve.state.key_secret import digest_of
from freehold.serve.state.keys import KeyStore
from freehold.serve.state.migrating import migrate
from freehold.serve.state.tables import KeyRow

KEYS = 1_000
_KEY = cast(Table, KeyRow.__table__)
RECORDED, SPLIT = "recorded", "split"
"""Routes: one whose exchanges are kept, one that is sticky, with a canary and a fallback."""


def secret(number: int) -> str:
    """Of the key of this number."""
    return f"fh-{number:043d}"


def _make_keys(settings: Settings) -> None:
    database = open_database(default_url(settings.home))
    migrate(database)
    new = [
        NewKey.model_validate({"name": f"key {number}", "team": f"team {number % 10}", **PLENTY_OF_ALL})
        for number in range(KEYS)
    ]
    made = KeyStore(database).create_many(new)
    with database.transaction() as connection:
        connection.execute(
            update(_KEY).where(_KEY.c.id == bindparam("its_id")).values(secret_hash=bindparam("its_hash")),
            [
                {"its_id": record.id, "its_hash": digest_of(secret(number).encode())}
                for number, (record, _) in enumerate(made)
            ],
        )
    database.close()


async def serve(port: int, engine_url: str, folder: Path) -> None:
    names = (MODEL, "other", "newcomer")
    engines = {name: StaticEngine(engine_url, name) for name in names}
    remote = {"kind": "remote", "baseUrl": engine_url, "leaves": False}
    models = {name: {"engine": remote, "cost": {"gpuHour": 2.5}} for name in names}
    canary = {"target": "newcomer", "percent": 10}
    routes = {
        RECORDED: {"targets": {MODEL: 1}, "record": {"retentionDays": 1}, "shadow": {"target": "other", "percent": 50}},
        SPLIT: {"targets": {MODEL: 1, "other": 1}, "sticky": "key", "canary": canary, "fallback": ["other"]},
    }
    document = {"models": models, "routes": routes, "gateway": {"port": port, "auth": "keys"}}
    config, settings = parse_config(document, "The benchmark's config"), Settings(home=folder)
    _make_keys(settings)
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(governance(config, settings, {}))
        table = RouteTable(engines, config.routes)
        server = await stack.enter_async_context(serve_gateway(engines, config.gateway, table, services))
        await server.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
