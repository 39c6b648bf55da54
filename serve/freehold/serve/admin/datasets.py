"""Uploaded training data over HTTP: every problem, and which tokens a model would learn; reading is audited."""

from typing import Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from freehold.serve.admin.access import origin_of, require_role
from freehold.serve.audit import AuditLog
from freehold.serve.files.storage import FileStorage
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.state.database import Database
from freehold.serve.state.files import get_file
from freehold.serve.tuning.inspecting import DataInspector


class CheckedData(BaseModel):
    """What `freehold dataset check --model` says of a file (docs/datasets.md)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["dataset_check"] = "dataset_check"
    file: str
    model: str
    errors: int
    warnings: int
    problems: list[dict[str, Any]]
    """Each with its line, whether it is an error, and what is wrong."""
    train: dict[str, Any]
    """Lines, examples and their format."""
    tokens: dict[str, Any] | None
    """How many there are and are learnt; `samples` has the tokens of three examples, each with `trained`."""
    estimate: dict[str, Any] | None
    """What a run would take."""


class TunableModels(BaseModel):
    """Models that fine-tuning jobs may start from, which are those that data can be checked for."""

    object: Literal["list"] = "list"
    models: list[str]


def datasets_router(
    database: Database, storage: FileStorage, inspector: DataInspector, audit: AuditLog, keyring: KeyRing
) -> APIRouter:
    """`/admin/v1/datasets`; what is in training data is for operators."""
    viewer, operator = Depends(require_role(keyring, "viewer")), Depends(require_role(keyring, "operator"))
    router = APIRouter(prefix="/admin/v1/datasets", tags=["datasets"])

    @router.get("", dependencies=[viewer])
    async def list_tunable_models() -> TunableModels:
        return TunableModels(models=list(inspector.models))

    @router.get("/{file_id}", dependencies=[operator])
    async def check_dataset(file_id: str, model: str, request: Request) -> CheckedData:
        record = await database.run(lambda connection: get_file(connection, file_id, None))
        actor, details = request.state.principal.actor, {"model": model}
        await run_in_threadpool(
            lambda: audit.record(
                "datasets.read", actor=actor, target=file_id, origin=origin_of(request), details=details
            )
        )
        found = await inspector.check(record, storage.path(record), model)
        problems = [{**problem, "source": record.filename} for problem in found["problems"]]
        about = {name: found.get(name) for name in ("errors", "warnings", "train", "tokens", "estimate")}
        return CheckedData.model_validate({"file": file_id, "model": model, "problems": problems, **about})

    return router
