"""What the house has and does, over HTTP: catalogue, artifacts, evaluations, jobs, votes, training data."""

from dataclasses import dataclass

from fastapi import APIRouter, Depends

from freehold.core.settings import Settings
from freehold.serve.admin.access import require_role
from freehold.serve.admin.artifacts import artifacts_router
from freehold.serve.admin.catalogue import catalogue_router
from freehold.serve.admin.datasets import datasets_router
from freehold.serve.admin.evaluations import evaluations_router
from freehold.serve.admin.jobs import jobs_router
from freehold.serve.admin.queries import named_once
from freehold.serve.admin.votes import votes_router
from freehold.serve.audit import AuditLog
from freehold.serve.config import DeploymentConfig
from freehold.serve.evidence.promotion import Promoter
from freehold.serve.evidence.runs import Runs
from freehold.serve.files.api import file_storage
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.jobs.desk import JobDesk
from freehold.serve.library.library import Library
from freehold.serve.state.database import Database
from freehold.serve.tuning.commands import Commands
from freehold.serve.tuning.inspecting import DataInspector
from freehold.serve.votes.box import BallotBox


@dataclass(frozen=True)
class House:
    """What these pages are about."""

    config: DeploymentConfig
    settings: Settings
    database: Database
    library: Library
    desk: JobDesk

    @property
    def runs(self) -> Runs:
        return Runs(self.settings.home / "evaluations" / "runs")

    @property
    def inspector(self) -> DataInspector:
        commands = Commands(self.config.tuning) if self.config.tuning else None
        return DataInspector(self.config, self.settings.home, commands)


def house_router(house: House, keyring: KeyRing, audit: AuditLog) -> APIRouter:
    """Viewers read, operators act; nothing is opened before a request comes."""
    viewer = Depends(require_role(keyring, "viewer"))
    once = Depends(named_once())
    home, database = house.settings.home, house.database
    pages = APIRouter(dependencies=[once])
    pages.include_router(catalogue_router(house.library), dependencies=[viewer])
    pages.include_router(artifacts_router(house.library, keyring), dependencies=[viewer])
    pages.include_router(evaluations_router(house.runs, Promoter(home), audit, keyring))
    pages.include_router(votes_router(BallotBox(home / "votes"), audit, keyring))
    pages.include_router(datasets_router(database, file_storage(house.settings), house.inspector, audit, keyring))
    pages.include_router(jobs_router(house.desk, audit, keyring))
    return pages
