"""The pages of fine-tuning jobs, for a gateway to show."""

from typing import TYPE_CHECKING

from fastapi import APIRouter

from freehold.serve.config import TuningConfig
from freehold.serve.state.database import Database
from freehold.serve.tuning.router import tuning_router
from freehold.serve.tuning.spaces import spaces

if TYPE_CHECKING:
    from freehold.serve.gateway.keyring import KeyRing


def tuning_pages(database: Database, config: TuningConfig, keyring: "KeyRing | None") -> APIRouter:
    """`/v1/fine_tuning/jobs`; without a keyring, for everybody. Nothing is opened before a request."""
    return tuning_router(database, config, spaces(keyring, shows_viewers=True))
