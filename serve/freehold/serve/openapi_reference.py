"""The reference of the gateway's API, as OpenAPI in JSON: `python -m freehold.serve.openapi_reference FILE`."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx

from freehold.core.settings import Settings
from freehold.core.store import Store
from freehold.serve.adapters.desk import AdapterDesk
from freehold.serve.admin.house import House, house_router
from freehold.serve.admin.router import Desks, admin_router
from freehold.serve.audit import AuditLog
from freehold.serve.config import BatchesConfig, DeploymentConfig, GatewayConfig, TuningConfig
from freehold.serve.gateway import create_gateway
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.gateway.ledger import Pricing
from freehold.serve.gateway.services import Services
from freehold.serve.governing import owned_pages
from freehold.serve.jobs.desk import JobDesk
from freehold.serve.library.library import Library
from freehold.serve.loading.desk import ModelDesk
from freehold.serve.recording.recorder import Recorder
from freehold.serve.state.database import open_database
from freehold.serve.state.keys import KeyStore
from freehold.serve.watching.watch import Watch

_NOWHERE = Path("/nonexistent")
_CONFIG = DeploymentConfig.model_validate({"models": {"model": {"engine": {"kind": "remote", "baseUrl": "http://x"}}}})


def openapi_reference() -> str:
    """The document of a gateway with all that a gateway can have. Nothing is opened or started for it."""
    return json.dumps(asyncio.run(_served()), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


async def _served() -> Any:
    database = open_database("postgresql://nowhere/gateway")
    keyring, recorder = KeyRing(KeyStore(database)), Recorder(_NOWHERE, {})
    desks = Desks(AdapterDesk(database, Store(_NOWHERE), _CONFIG), ModelDesk(database, _CONFIG, {}))
    audit, watch = AuditLog(_NOWHERE), Watch({})
    admin = admin_router(database, keyring, Pricing(_CONFIG), recorder, audit, desks, {}, watch)
    sections = {"tuning": TuningConfig(models=("model",)), "batches": BatchesConfig()}
    settings, audit = Settings(home=_NOWHERE), AuditLog(_NOWHERE)
    owned = owned_pages(_CONFIG.model_copy(update=sections), database, settings, keyring)
    pages = (
        *owned,
        house_router(House(_CONFIG, settings, database, Library(settings, {}), JobDesk(settings, {})), keyring, audit),
    )
    transport = httpx.ASGITransport(create_gateway({}, GatewayConfig(), services=Services(admin=admin, pages=pages)))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        document = (await client.get("/openapi.json")).json()
    database.close()
    return document


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(openapi_reference())
