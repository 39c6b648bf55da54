"""Before an engine's container starts: wait for what it loads, verify that, and write how it is started.

Two files come of it: vLLM's config file, and beside it (`.env`) the variables that a child of `freehold serve` would
have in its environment.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import ConfigError, FreeholdError, NotFoundError, PolicyError
from freehold.core.policy import NO_POLICY, Policies
from freehold.core.store import Artifact, Store
from freehold.core.store.atomic import write_atomically
from freehold.serve.adapters.admission import admit, lora_rank_of
from freehold.serve.config import DeploymentConfig, ProcessEngine, RayEngine, ServedModel
from freehold.serve.engines.abilities import has_abort
from freehold.serve.engines.fingerprint import system_fingerprint
from freehold.serve.engines.fleet import check_files
from freehold.serve.engines.permission import Permissions, require_whole
from freehold.serve.engines.promotion import require_gates
from freehold.serve.engines.vllm import engine_environment, engine_options
from freehold.serve.engines.vllm_file import file_text, variables_text

LOOK_S = 1.0
TELL_S = 30.0
HOST = "0.0.0.0"
"""An engine in a pod is asked over the network; who may do so is for the cluster's policies."""


@dataclass(frozen=True)
class Preparation:
    """What the command line says beyond the config."""

    version: str
    """vLLM's, for example `0.32.0`."""
    file: Path
    port: int = 8000
    has_gpu: bool = True
    wait_s: float = 0.0
    verify: bool = True


def served_process(config: DeploymentConfig, name: str) -> tuple[ServedModel, ProcessEngine]:
    """The model and its engine. Raises NotFoundError for an unknown model, ConfigError for one that is no process."""
    model = config.models.get(name)
    if model is None:
        raise NotFoundError(f"The config has no model '{name}'", next_step=f"Its models: {', '.join(config.models)}.")
    if not isinstance(model.engine, ProcessEngine):
        who = "Ray Serve runs it" if isinstance(model.engine, RayEngine) else "somebody else runs that engine"
        raise ConfigError("This engine is not ours to run", [f"models.{name}.engine.kind: {model.engine.kind}; {who}"])
    return model, model.engine


def prepare(
    config: DeploymentConfig,
    name: str,
    store: Store,
    todo: Preparation,
    report: Callable[[str], None],
    policies: Policies = NO_POLICY,
) -> tuple[Path, Path]:
    """Write the two files and return their paths.

    Raises NotFoundError when an artifact is not there in time, RefusedError for one that has not passed its gates,
    PolicyError for one that a policy forbids, IntegrityError for a damaged one, ConfigError for what the config names
    and the pod lacks.
    """
    model, engine = served_process(config, name)
    check_files(name, engine)
    artifact = _wait(model, store, todo.wait_s, report)
    rank = lora_rank_of(model, store)
    permissions = Permissions(policies, store)
    permissions.ask(name, model, artifact)
    require_gates(store, artifact, model.accept, model.requires)
    _check_adapters(name, model, artifact, store, rank, permissions)
    permissions.refuse()
    with ExitStack() as held:
        held.enter_context(store.use(artifact))
        if todo.verify or policies.ask_for_signatures:
            require_whole(store, artifact)
    text = file_text(
        engine_options(
            artifact,
            engine,
            name=name,
            host=HOST,
            port=todo.port,
            fingerprint=system_fingerprint(artifact, engine, todo.version, rank),
            has_gpu=todo.has_gpu,
            aborts=has_abort(todo.version),
            max_lora_rank=rank,
        ),
        engine.extra_args,
        name,
    )
    variables = engine_environment(engine, has_gpu=todo.has_gpu, adapts=rank is not None)
    beside = todo.file.with_suffix(".env")
    todo.file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(beside, variables_text(variables).encode())
    write_atomically(todo.file, text.encode())
    return todo.file, beside


def _wait(model: ServedModel, store: Store, wait_s: float, report: Callable[[str], None]) -> Artifact:
    """The model's artifact, as soon as it and all adapters of the config are in the store."""
    assert model.artifact is not None, "the config refuses a process engine without an artifact"
    wanted = [model.artifact, *(adapter.artifact for adapter in (model.adapters or {}).values())]
    began = time.monotonic()
    told = began - TELL_S
    while missing := [reference for reference in wanted if store.find(reference) is None]:
        now = time.monotonic()
        if now - began >= wait_s:
            known = ", ".join(artifact.id for artifact in store.artifacts()) or "nothing yet"
            after = f" after {wait_s:.0f} s" if wait_s else ""
            raise NotFoundError(
                f"Not in the store at {store.root}{after}: {', '.join(missing)}",
                why=f"the store holds {known}",
                next_step=f"Look at the job that pulls it, or run `freehold pull {missing[0]}`.",
            )
        if now - told >= TELL_S:
            told = now
            left = wait_s - (now - began)
            report(f"Waiting for {', '.join(missing)} in the store at {store.root}, {left:.0f} s more at most …")
        time.sleep(min(LOOK_S, wait_s))
    return store.get(model.artifact)


def _check_adapters(
    name: str,
    model: ServedModel,
    artifact: Artifact,
    store: Store,
    rank: int | None,
    permissions: Permissions,
) -> None:
    problems = []
    for adapter, served in (model.adapters or {}).items():
        assert rank is not None, "it is started for adapters"
        try:
            admit(store, artifact, served.artifact, accept=served.accept, max_rank=rank, policies=permissions.policies)
        except PolicyError as error:
            permissions.add(f"models.{name}.adapters.{adapter}", error)
        except FreeholdError as error:
            problems.append(f"models.{name}.adapters.{adapter}: {error}. {error.next_step}".rstrip())
    if problems:
        raise ConfigError("The deployment cannot be served", problems + permissions.lines)
