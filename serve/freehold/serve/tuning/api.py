"""The pages of files and fine-tuning jobs, for a gateway to show."""

from typing import TYPE_CHECKING

from fastapi import APIRouter

from freehold.core.settings import Settings
from freehold.serve.config import TuningConfig
from freehold.serve.files.router import files_router
from freehold.serve.files.storage import FileStorage
from freehold.serve.files.uploading import Uploads
from freehold.serve.state.database import Database
from freehold.serve.tuning.router import tuning_router
from freehold.serve.tuning.spaces import spaces

if TYPE_CHECKING:
    from freehold.serve.gateway.keyring import KeyRing

FILES = "files"


def file_storage(settings: Settings) -> FileStorage:
    """Where a deployment's files lie."""
    return FileStorage(settings.home / FILES)


def tuning_pages(
    database: Database, config: TuningConfig, settings: Settings, keyring: "KeyRing | None"
) -> tuple[APIRouter, ...]:
    """`/v1/files` and `/v1/fine_tuning/jobs`; without a keyring, for everybody. Nothing is opened before a request."""
    storage, whose = file_storage(settings), spaces(keyring)
    uploads = Uploads(database, storage, config)
    return files_router(database, storage, uploads, whose), tuning_router(database, config, whose)
