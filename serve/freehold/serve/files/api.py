"""The pages of files, for a gateway to show."""

from typing import TYPE_CHECKING

from fastapi import APIRouter

from freehold.core.settings import Settings
from freehold.serve.files.purposes import Rules
from freehold.serve.files.router import files_router
from freehold.serve.files.storage import FileStorage
from freehold.serve.files.uploading import Uploads
from freehold.serve.state.database import Database
from freehold.serve.tuning.spaces import spaces

if TYPE_CHECKING:
    from freehold.serve.gateway.keyring import KeyRing

FILES = "files"


def file_storage(settings: Settings) -> FileStorage:
    """Where a deployment's files lie."""
    return FileStorage(settings.home / FILES)


def files_pages(database: Database, rules: Rules, settings: Settings, keyring: "KeyRing | None") -> APIRouter:
    """`/v1/files`; without a keyring, for everybody. Nothing is opened before a request."""
    storage = file_storage(settings)
    whose = spaces(keyring, must_tune=rules.batches is None)
    return files_router(database, storage, Uploads(database, storage, rules), whose)
