"""The reference of the gateway's API, as OpenAPI in JSON: `python -m freehold.serve.openapi_reference FILE`."""

import json
import sys
from pathlib import Path

from freehold.serve.admin.router import admin_router
from freehold.serve.audit import AuditLog
from freehold.serve.config import DeploymentConfig
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.gateway.ledger import Pricing
from freehold.serve.gateway.metrics import GatewayMetrics
from freehold.serve.gateway.openapi import openapi_document
from freehold.serve.gateway.pages import create_pages
from freehold.serve.gateway.relay import Relay
from freehold.serve.gateway.routing import RouteTable
from freehold.serve.gateway.services import NOTHING
from freehold.serve.recording.recorder import Recorder
from freehold.serve.state.database import open_database
from freehold.serve.state.keys import KeyStore

_NOWHERE = Path("/nonexistent")
_CONFIG = DeploymentConfig.model_validate({"models": {"model": {"engine": {"kind": "remote", "baseUrl": "http://x"}}}})


def openapi_reference() -> str:
    """The document of a gateway with all that a gateway can have. Nothing is opened or started for it."""
    database = open_database("postgresql://nowhere/gateway")
    keyring = KeyRing(KeyStore(database))
    recorder = Recorder(_NOWHERE, {})
    admin = admin_router(database, keyring, Pricing(_CONFIG), recorder, AuditLog(_NOWHERE))
    metrics = GatewayMetrics({})
    pages = create_pages({}, metrics, Relay({}, RouteTable({}), metrics, 0, NOTHING), admin)
    document = openapi_document(pages)
    database.close()
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(openapi_reference())
