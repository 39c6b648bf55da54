"""From a client's request to a job that waits for its turn."""

import secrets

from sqlalchemy import Connection

from freehold.core.errors import NotFoundError
from freehold.serve.config import TuningConfig
from freehold.serve.gateway.errors import NotAllowed, RequestError
from freehold.serve.gateway.routing import unknown_model
from freehold.serve.state.database import Database
from freehold.serve.state.files import get_file
from freehold.serve.state.tuning import JobRecord, NewJob, create_job, new_job_id
from freehold.serve.tuning.naming import tuned_name
from freehold.serve.tuning.requests import MAX_SEED, Hyperparameters, Method, NewTuningJob
from freehold.serve.tuning.spaces import Space

KIND_OF = {"supervised": "conversation", "dpo": "preference"}
"""Which data each method learns from."""


def create_tuning_job(database: Database, config: TuningConfig, space: Space, wanted: NewTuningJob) -> JobRecord:
    """The job. Raises RequestError that names the parameter, NotAllowed, UnknownModel and TooManyJobs."""
    wanted.refuse_integrations()
    method = wanted.chosen
    _check_model(wanted.model, config, space)
    job_id = new_job_id()
    new = NewJob(
        id=job_id,
        space=space.name,
        key_id=space.key_id,
        team=space.principal.team,
        model=wanted.model,
        tuned_model=tuned_name(wanted.model, space.principal.team, wanted.suffix, job_id),
        training_file=wanted.training_file,
        validation_file=wanted.validation_file,
        request={
            "method": _told(method),
            "seed": secrets.randbelow(MAX_SEED) if wanted.seed is None else wanted.seed,
            "suffix": wanted.suffix,
            "metadata": wanted.metadata,
        },
    )

    def make(connection: Connection) -> JobRecord:
        _check_file(connection, space, wanted.training_file, method, "training_file")
        if wanted.validation_file is not None:
            _check_file(connection, space, wanted.validation_file, method, "validation_file")
        return create_job(connection, new, config.pending_jobs)

    return database.call(make)


def _told(method: Method) -> dict[str, object]:
    """The method with all its hyperparameters, as jobs show it."""
    given: Hyperparameters = method.given
    return {"type": method.type, method.type: {"hyperparameters": given.model_dump()}}


def _check_model(name: str, config: TuningConfig, space: Space) -> None:
    tunable = [model for model in config.models if space.principal.may_use_model(model)]
    if name in tunable:
        return
    if name in config.models:
        raise NotAllowed(
            f"The key may not use the model '{name}'",
            why="it is not in the key's scope",
            next_step=f"It may tune: {', '.join(tunable) or 'none'}.",
            code="model_not_allowed",
        )
    raise unknown_model(name, tunable)


def _check_file(connection: Connection, space: Space, file_id: str, method: Method, param: str) -> None:
    try:
        record = get_file(connection, file_id, space.visible)
    except NotFoundError as error:
        raise RequestError(
            error.what, why=error.why, next_step=error.next_step, code="file_not_found", param=param
        ) from error
    if record.kind != KIND_OF[method.type]:
        held = record.kind or record.purpose
        raise RequestError(
            f"{file_id} does not fit the method {method.type}",
            why=f"it holds {held} data, and the method learns from {KIND_OF[method.type]} data",
            code="wrong_data",
            param=param,
        )
