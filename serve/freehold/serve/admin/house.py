"""What the house has and does, over HTTP: the catalogue, artifacts and their lineage, evaluations, votes."""

from fastapi import APIRouter, Depends

from freehold.core.settings import Settings
from freehold.serve.admin.access import require_role
from freehold.serve.admin.artifacts import artifacts_router
from freehold.serve.admin.catalogue import catalogue_router
from freehold.serve.admin.evaluations import evaluations_router
from freehold.serve.admin.queries import named_once
from freehold.serve.admin.votes import votes_router
from freehold.serve.audit import AuditLog
from freehold.serve.evidence.promotion import Promoter
from freehold.serve.evidence.runs import Runs
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.library.library import Library
from freehold.serve.votes.box import BallotBox


def house_router(settings: Settings, library: Library, keyring: KeyRing, audit: AuditLog) -> APIRouter:
    """Viewers read, operators act; nothing is opened before a request comes."""
    viewer = Depends(require_role(keyring, "viewer"))
    once = Depends(named_once())
    house = APIRouter()
    house.include_router(catalogue_router(library), dependencies=[viewer, once])
    house.include_router(artifacts_router(library), dependencies=[viewer, once])
    house.include_router(votes_router(BallotBox(settings.home / "votes"), audit, keyring), dependencies=[once])
    runs = Runs(settings.home / "evaluations" / "runs")
    house.include_router(evaluations_router(runs, Promoter(settings.home), audit, keyring), dependencies=[once])
    return house
