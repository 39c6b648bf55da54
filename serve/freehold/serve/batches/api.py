"""The pages of batches, for a gateway to show."""

from typing import TYPE_CHECKING

from fastapi import APIRouter

from freehold.serve.batches.router import batches_router
from freehold.serve.config import BatchesConfig
from freehold.serve.files.purposes import Rules
from freehold.serve.state.database import Database
from freehold.serve.tuning.spaces import spaces

if TYPE_CHECKING:
    from freehold.serve.gateway.keyring import KeyRing


def batch_pages(database: Database, config: BatchesConfig, rules: Rules, keyring: "KeyRing | None") -> APIRouter:
    """`/v1/batches`; without a keyring, for everybody. Nothing is opened before a request."""
    return batches_router(database, config, rules.quota, spaces(keyring, must_tune=False, shows_viewers=True))
