"""Everything under `/admin/v1`, for administrators alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from freehold.serve.adapters.desk import AdapterDesk
from freehold.serve.admin.access import require_role
from freehold.serve.admin.acts import acts_router
from freehold.serve.admin.adapters import adapters_router
from freehold.serve.admin.budgets import budgets_router
from freehold.serve.admin.engines import engines_router
from freehold.serve.admin.keys import keys_router
from freehold.serve.admin.models import models_router
from freehold.serve.admin.overview import overview_router
from freehold.serve.admin.queries import named_once
from freehold.serve.admin.recordings import recordings_router
from freehold.serve.admin.session import session_router
from freehold.serve.admin.usage import usage_router
from freehold.serve.audit import AuditLog
from freehold.serve.engines.engine import Engine
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.gateway.ledger import Pricing
from freehold.serve.loading.desk import ModelDesk
from freehold.serve.recording.recorder import Recorder
from freehold.serve.state.database import Database
from freehold.serve.state.keys import KeyStore
from freehold.serve.watching.watch import Watch


@dataclass(frozen=True)
class Desks:
    """Where things are asked to be loaded."""

    adapters: AdapterDesk
    models: ModelDesk


def admin_router(
    database: Database,
    keyring: KeyRing,
    pricing: Pricing,
    recorder: Recorder,
    audit: AuditLog,
    desks: Desks,
    engines: Mapping[str, Engine],
    watch: Watch,
) -> APIRouter:
    """Keys, engines, adapters, usage and recordings; none of these is asked anything before a request comes."""
    viewer, admin_only = Depends(require_role(keyring, "viewer")), Depends(require_role(keyring, "admin"))
    operator = Depends(require_role(keyring, "viewer", to_change="operator"))
    once = Depends(named_once())
    once_or_more = Depends(named_once("key", "team", "model", "route", "endpoint"))
    admin = APIRouter()
    admin.include_router(keys_router(KeyStore(database), audit, keyring), dependencies=[once])
    admin.include_router(session_router(), dependencies=[viewer, once])
    admin.include_router(engines_router(engines, desks.models), dependencies=[viewer, once])
    admin.include_router(
        overview_router(engines, watch, desks.models), dependencies=[viewer, Depends(named_once("model"))]
    )
    admin.include_router(adapters_router(desks.adapters, audit), dependencies=[operator, once])
    admin.include_router(models_router(desks.models, audit), dependencies=[operator, once])
    admin.include_router(usage_router(database, pricing), dependencies=[viewer, once_or_more])
    admin.include_router(budgets_router(database), dependencies=[viewer, Depends(named_once("key"))])
    admin.include_router(acts_router(audit), dependencies=[admin_only, once])
    readings = recordings_router(recorder.store, lambda request: request.state.principal.actor)
    admin.include_router(readings, dependencies=[admin_only, once])
    return admin
