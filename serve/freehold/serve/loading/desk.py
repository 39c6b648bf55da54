"""Where a model is asked to be unloaded or loaded."""

from collections.abc import Mapping

from freehold.core.errors import NotFoundError, RefusedError
from freehold.serve.config import DeploymentConfig, ProcessEngine
from freehold.serve.engines.engine import Engine
from freehold.serve.state.database import Database
from freehold.serve.state.unloading import load_model, unload_model


class ModelDesk:
    """The models of one deployment. `load` and `unload` block, and raise DatabaseUnavailable."""

    def __init__(
        self, database: Database, config: DeploymentConfig, engines: Mapping[str, Engine], *, runs_engines: bool = True
    ) -> None:
        """`runs_engines` is false for a gateway whose engines are pods of their own."""
        self._database = database
        self._config = config
        self._engines = engines
        self._runs_engines = runs_engines

    def engine(self, model: str) -> Engine:
        """Its engine, as it stands here. Raises NotFoundError."""
        engine = self._engines.get(model)
        if engine is None or engine.adapter is not None:
            raise NotFoundError(f"No model '{model}'", next_step=f"Models: {', '.join(self._config.models)}.")
        return engine

    def unload(self, model: str, actor: str) -> Engine:
        """Have its engine end; others of the machine may take its memory. Raises NotFoundError, RefusedError."""
        engine = self._able(model)
        self._database.call(lambda connection: unload_model(connection, model, actor))
        return engine

    def load(self, model: str) -> Engine:
        """Have its engine start. Raises NotFoundError, RefusedError."""
        engine = self._able(model)
        self._database.call(lambda connection: load_model(connection, model))
        return engine

    def obstacle(self, model: str) -> RefusedError | None:
        """What speaks against it being unloaded or loaded here; None if nothing does."""
        served = self._config.models.get(model)
        if not self._runs_engines:
            return RefusedError(
                f"{model} is not unloaded or loaded by the gateway",
                why="its engine is a pod of its own",
                next_step="Scale its Deployment, or set `autoscaling` with `minReplicas: 0` in the chart's values.",
            )
        if served is None or not isinstance(served.engine, ProcessEngine):
            return RefusedError(
                f"{model} is not unloaded or loaded here",
                why="somebody else runs it" if served is None else f"its engine is of kind {served.engine.kind}",
                next_step="Only engines that this gateway starts itself are; one on Ray may scale to zero by itself.",
            )
        return None

    def _able(self, model: str) -> Engine:
        engine, obstacle = self.engine(model), self.obstacle(model)
        if obstacle is not None:
            raise obstacle
        return engine
