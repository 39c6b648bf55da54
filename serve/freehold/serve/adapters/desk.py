"""Where adapters are asked for and asked about: by administrators over HTTP, and by commands."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from freehold.core.errors import NotFoundError, RefusedError, UserError
from freehold.core.policy import NO_POLICY, Policies
from freehold.core.store import Store
from freehold.serve.adapters.admission import admit, lora_rank_of
from freehold.serve.adapters.status import AdapterPhase
from freehold.serve.config import DeploymentConfig, VllmEngine
from freehold.serve.state.adapters import (
    AdapterRecord,
    AdapterReport,
    NameTaken,
    add_adapter,
    list_adapters,
    list_reports,
    remove_adapter,
)
from freehold.serve.state.database import Database


@dataclass(frozen=True)
class AdapterView:
    """An adapter, and how it stands on every replica that runs."""

    name: str
    model: str
    artifact: str
    """What should answer under its name."""
    accept: tuple[str, ...]
    is_configured: bool
    """Named in the config; only a change of that unloads it."""
    created_at: float | None
    """When it was asked for; None for one of the config."""
    phase: AdapterPhase
    """`ready` where every replica is, `failed` where one has, else `loading`, or `unloading`."""
    reports: tuple[AdapterReport, ...]

    @property
    def detail(self) -> str:
        """Why it failed; where several replicas did, the first one's reason."""
        return next((report.detail for report in self.reports if report.detail), "")


class AdapterDesk:
    """The adapters of one deployment. Every method blocks, and raises DatabaseUnavailable.

    Without a store, an adapter is written down as it is named, and each replica looks it up and judges it.
    """

    def __init__(
        self, database: Database, store: Store | None, config: DeploymentConfig, policies: Policies = NO_POLICY
    ) -> None:
        self._policies = policies
        self._database = database
        self._store = store
        self._config = config

    def load(self, model: str, name: str, artifact: str, accept: Sequence[Literal["parity"]] = ()) -> AdapterView:
        """Have every replica load an artifact under a name, in place of the one it may have.

        Raises NotFoundError, NameTaken, and RefusedError or PolicyError for an artifact that the model's engines may
        not load.
        """
        self._refuse_unable(model)
        self._refuse_taken(name)
        admitted = self._admitted(model, artifact, accept)

        def work(connection: Connection) -> AdapterView:
            record = add_adapter(connection, model, name, admitted, accept)
            return _view(record, list_reports(connection, model))

        return self._database.call(work)

    def unload(self, model: str, name: str) -> AdapterView:
        """Have every replica unload it; what it was. Raises NotFoundError, and UserError for one of the config."""
        self._refuse_unable(model)
        if self._config.adapters.get(name) == model:
            raise UserError(
                f"'{name}' cannot be unloaded",
                why="the config names it",
                next_step=f"Take it out of models.{model}.adapters, and start the gateway again.",
            )

        def work(connection: Connection) -> AdapterView:
            record = remove_adapter(connection, model, name)
            return _view(record, list_reports(connection, model), is_leaving=True)

        return self._database.call(work)

    def get(self, model: str, name: str) -> AdapterView:
        """One adapter. Raises NotFoundError."""
        for view in self.list(model):
            if view.name == name:
                return view
        known = ", ".join(view.name for view in self.list(model)) or "none"
        raise NotFoundError(f"{model} has no adapter '{name}'", next_step=f"Its adapters: {known}.")

    def list(self, model: str | None = None) -> list[AdapterView]:
        """All adapters by name, or those of one model. Raises NotFoundError for a model that is not there."""
        if model is not None:
            self._refuse_unable(model)
        records, reports = self._database.call(lambda c: (list_adapters(c, model), list_reports(c, model)))
        configured = [
            _view(AdapterRecord(adapter, name, named.artifact, named.accept, 0.0), reports, is_configured=True)
            for name, served in self._config.models.items()
            for adapter, named in (served.adapters or {}).items()
            if model in (None, name)
        ]
        views = [*configured, *(_view(record, reports) for record in records)]
        return sorted(views, key=lambda view: (view.model, view.name))

    def replicas(self, model: str) -> int:
        """How many that could load an adapter of the model run now."""
        return len({report.replica for report in self._database.call(lambda c: list_reports(c, model))})

    def model_of(self, name: str) -> str:
        """The model of a runtime adapter, or the only one that takes adapters. Raises UserError."""
        records = self._database.call(lambda connection: list_adapters(connection))
        if found := next((record.model for record in records if record.name == name), self._config.adapters.get(name)):
            return found
        able = [model for model, served in self._config.models.items() if served.adapters is not None]
        if len(able) == 1:
            return able[0]
        raise UserError(f"Of which model is {name!r}?", why=f"these take adapters: {', '.join(able) or 'none'}")

    def _admitted(self, model: str, artifact: str, accept: Sequence[Literal["parity"]]) -> str:
        """The artifact's id, or what it was called where that is for replicas to find out."""
        if self._store is None:
            return artifact
        served = self._config.models[model]
        rank = lora_rank_of(served, self._store)
        assert rank is not None, "a model that is not able was refused"
        base = self._store.get(served.artifact or "")
        return admit(self._store, base, artifact, accept=accept, max_rank=rank, policies=self._policies).id

    def _refuse_unable(self, model: str) -> None:
        served = self._config.models.get(model)
        if served is None:
            raise NotFoundError(f"No model '{model}'", next_step=f"Models: {', '.join(self._config.models)}.")
        if served.adapters is None or not isinstance(served.engine, VllmEngine):
            raise RefusedError(
                f"{model} takes no adapters",
                why="its engine is started for the model alone",
                next_step=f"Write `adapters: {{}}` under models.{model}, and start the gateway again.",
            )

    def _refuse_taken(self, name: str) -> None:
        taken: dict[str, Container[str]] = {
            "a model": self._config.models,
            "a route": self._config.routes,
            "an adapter of the config": self._config.adapters,
        }
        for kind, names in taken.items():
            if name in names:
                raise NameTaken(f"The name '{name}' is taken", why=f"{kind} has it", next_step="Take another name.")


def _view(
    record: AdapterRecord,
    reports: Sequence[AdapterReport],
    *,
    is_configured: bool = False,
    is_leaving: bool = False,
) -> AdapterView:
    own = tuple(one for one in reports if one.name == record.name and one.model == record.model)
    replicas = {report.replica for report in reports if report.model == record.model}
    # Who has not heard of the last change yet is on the way.
    current = [one.phase for one in own if one.wanted == record.artifact and one.is_configured == is_configured]
    phase = AdapterPhase.LOADING
    if is_leaving:
        phase = AdapterPhase.UNLOADING
    elif AdapterPhase.FAILED in current:
        phase = AdapterPhase.FAILED
    elif replicas and current == [AdapterPhase.READY] * len(replicas):
        phase = AdapterPhase.READY
    return AdapterView(
        name=record.name,
        model=record.model,
        artifact=record.artifact,
        accept=record.accept,
        is_configured=is_configured,
        created_at=None if is_configured else record.created_at,
        phase=phase,
        reports=own,
    )
