"""Puts the page together: of a deployment, of a running gateway, or of both held against each other."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from freehold.core.errors import FreeholdError
from freehold.core.hub.lockfile import LockContent, read_lock
from freehold.core.manifest import Catalogue, load_catalogue
from freehold.core.policy import Facts, Finding, Policies, Stage, facts_of, policies_here
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.serve.adapters.desk import AdapterDesk
from freehold.serve.compliance import document as page
from freehold.serve.compliance.artifacts import problems_of, show_artifact
from freehold.serve.compliance.egress import show_egress
from freehold.serve.compliance.running import Running
from freehold.serve.config import DeploymentConfig, RemoteEngine, ServedModel, VllmEngine
from freehold.serve.engines.permission import facts_of_model
from freehold.serve.state.database import default_url, elsewhere, open_database


@dataclass(frozen=True)
class Sources:
    """Where everything that the page says is read from."""

    settings: Settings
    store: Store
    catalogue: Catalogue
    policies: Policies
    lock_file: Path
    lock: LockContent
    verify: bool = False
    """Read every file of every artifact."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @classmethod
    def here(
        cls, settings: Settings, lock_file: Path, config: DeploymentConfig | None = None, *, verify: bool = False
    ) -> "Sources":
        """Those of this machine. Raises ConfigError, NotFoundError for a lock or a policy that cannot be read."""
        return cls(
            settings=settings,
            store=Store(settings.store_root),
            catalogue=load_catalogue(settings.manifests_root),
            policies=policies_here(settings, config.policy if config else None),
            lock_file=lock_file,
            lock=read_lock(lock_file),
            verify=verify,
        )


def report_of_deployment(
    config: DeploymentConfig, origin: str, sources: Sources, running: Mapping[str, Running] | None = None, url: str = ""
) -> page.Report:
    """What a config names, adapters that were loaded at runtime included; with `running`, held against a gateway."""
    served: list[page.Served] = []
    for name, model in config.models.items():
        served.append(_model(name, model, sources))
        adapters = {adapter: (one.artifact, one.accept) for adapter, one in (model.adapters or {}).items()}
        found, problem = _runtime_adapters(config, name, sources)
        if problem:
            served[-1] = replace(served[-1], problems=(*served[-1].problems, problem))
        for adapter, (reference, accepted) in (adapters | found).items():
            served.append(_adapter(adapter, name, model, reference, tuple(accepted), sources))
    if running is not None:
        served = list(_held_against(served, running, set(config.routes), sources))
    return _report(origin, url, served, sources, show_egress(config, sources.settings, sources.environ))


def report_of_gateway(running: Mapping[str, Running], url: str, sources: Sources) -> page.Report:
    """What a gateway says that it serves, without its config."""
    return _report("", url, list(_held_against([], running, set(), sources)), sources, None)


def judged(facts: Facts, policies: Policies, stage: Stage = Stage.SERVE) -> tuple[page.RuleResult, ...]:
    """What every rule that is asked at the stage says."""
    return tuple(_result(finding) for finding in policies.judge(facts, stage) if finding.is_asked)


def _report(
    origin: str, url: str, served: list[page.Served], sources: Sources, egress: page.Egress | None
) -> page.Report:
    return page.Report(
        made_at=datetime.now(UTC),
        freehold=version("freehold"),
        deployment=origin,
        gateway=url,
        policies=tuple(str(file.path) for file in sources.policies.files),
        lock=str(sources.lock_file) if sources.lock_file.is_file() else "",
        served=tuple(served),
        egress=egress,
    )


def _result(finding: Finding) -> page.RuleResult:
    return page.RuleResult(str(finding.policy), finding.rule, "kept" if finding.is_kept else "broken", finding.problems)


def _model(name: str, model: ServedModel, sources: Sources) -> page.Served:
    if isinstance(model.engine, RemoteEngine):
        return _remote(name, f"run by others at {model.engine.base_url}")
    engine = model.engine
    shown = page.Served(
        name=name,
        kind="model",
        model=name,
        engine=f"{engine.kind}, {engine.python or 'this environment'}",
        is_probed=engine.probe == "require",
        accepted=model.accept,
        requires=model.requires,
        artifact=None,
        rules=(),
    )
    try:
        artifact = sources.store.get(model.artifact or "")
    except FreeholdError as error:
        return replace(shown, problems=(str(error),))
    return _filled(shown, artifact, facts_of_model(sources.store, artifact, model, sources.catalogue), sources)


def _adapter(
    name: str, model_name: str, model: ServedModel, reference: str, accepted: tuple[str, ...], sources: Sources
) -> page.Served:
    shown = page.Served(
        name=name,
        kind="adapter",
        model=model_name,
        engine=f"an adapter of {model_name}",
        is_probed=isinstance(model.engine, VllmEngine) and model.engine.probe == "require",
        accepted=accepted,
        requires=(),
        artifact=None,
        rules=(),
    )
    try:
        artifact, base = sources.store.get(reference), sources.store.find(model.artifact or "")
    except FreeholdError as error:
        return replace(shown, problems=(str(error),))
    return _filled(shown, artifact, facts_of(artifact, sources.store, sources.catalogue, base=base), sources)


def _remote(name: str, engine: str) -> page.Served:
    return page.Served(
        name=name,
        kind="remote",
        model=name,
        engine=engine,
        is_probed=None,
        accepted=(),
        requires=(),
        artifact=None,
        rules=(),
    )


def _filled(shown: page.Served, artifact: Artifact, facts: Facts, sources: Sources) -> page.Served:
    record = show_artifact(artifact, facts, sources.store, sources.policies, sources.lock, verify=sources.verify)
    return replace(
        shown,
        artifact=record,
        rules=judged(facts, sources.policies),
        problems=(*shown.problems, *problems_of(record)),
    )


def _held_against(
    served: list[page.Served], running: Mapping[str, Running], routes: set[str], sources: Sources
) -> Iterator[page.Served]:
    """What the gateway says beside what the config says, and what it serves beyond that."""
    known = {one.name for one in served}
    for one in served:
        said = running.get(one.name)
        artifact = one.artifact.id if one.artifact else ""
        problems = one.problems
        if said is None:
            problems += ("the gateway does not list it",)
        elif said.artifact and said.artifact != artifact:
            problems += (f"the gateway serves {said.artifact}",)
        yield replace(one, running=said.artifact if said else "", problems=problems)
    for name, said in running.items():
        if name not in known | routes:
            yield _unnamed(said, bool(served), sources)


def _unnamed(said: Running, has_config: bool, sources: Sources) -> page.Served:
    if not said.artifact:
        return _remote(said.name, "a route, or run by others: the gateway names no artifact")
    beyond = ("the config does not name it",) if has_config else ()
    shown = page.Served(
        name=said.name,
        kind="adapter" if said.parent else "model",
        model=said.parent or said.name,
        engine="behind the gateway",
        is_probed=None,
        accepted=(),
        requires=(),
        artifact=None,
        rules=(),
        running=said.artifact,
        problems=beyond,
    )
    artifact = sources.store.find(said.artifact)
    if artifact is None:
        return replace(shown, problems=(*beyond, f"{said.artifact} is not in the store here"))
    return _filled(shown, artifact, facts_of(artifact, sources.store, sources.catalogue), sources)


def _runtime_adapters(
    config: DeploymentConfig, model: str, sources: Sources
) -> tuple[dict[str, tuple[str, tuple[str, ...]]], str]:
    """Adapters that were loaded over the API, or why they are not known."""
    if config.models[model].adapters is None:
        return {}, ""
    url = config.gateway.database or default_url(sources.settings.home)
    if problem := elsewhere(url, sources.environ):
        # Without a database of its own, nothing was ever loaded into this deployment.
        return {}, "" if config.gateway.database is None else f"adapters loaded at runtime are not known: {problem}"
    database = open_database(url, sources.environ)
    try:
        views = AdapterDesk(database, sources.store, config).list(model)
    except FreeholdError as error:
        return {}, f"adapters loaded at runtime are not known: {error}"
    finally:
        database.close()
    return {view.name: (view.artifact, view.accept) for view in views if not view.is_configured}, ""
