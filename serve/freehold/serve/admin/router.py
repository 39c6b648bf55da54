"""Everything under `/admin/v1`, for administrators alone."""

from fastapi import APIRouter, Depends

from freehold.serve.adapters.desk import AdapterDesk
from freehold.serve.admin.access import require_admin
from freehold.serve.admin.adapters import adapters_router
from freehold.serve.admin.keys import keys_router
from freehold.serve.admin.queries import named_once
from freehold.serve.admin.recordings import recordings_router
from freehold.serve.admin.usage import usage_router
from freehold.serve.audit import AuditLog
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.gateway.ledger import Pricing
from freehold.serve.recording.recorder import Recorder
from freehold.serve.state.database import Database
from freehold.serve.state.keys import KeyStore


def admin_router(
    database: Database,
    keyring: KeyRing,
    pricing: Pricing,
    recorder: Recorder,
    audit: AuditLog,
    adapters: AdapterDesk,
) -> APIRouter:
    """Keys, adapters, usage and recordings; none of these is asked anything before a request comes."""
    only, once = Depends(require_admin(keyring)), Depends(named_once())
    once_or_more = Depends(named_once("key", "team", "model", "route", "endpoint"))
    admin = APIRouter()
    admin.include_router(keys_router(KeyStore(database), audit, keyring), dependencies=[once])
    admin.include_router(adapters_router(adapters, audit), dependencies=[only, once])
    admin.include_router(usage_router(database, pricing), dependencies=[only, once_or_more])
    readings = recordings_router(recorder.store, lambda request: request.state.principal.key_id)
    admin.include_router(readings, dependencies=[only, once])
    return admin
