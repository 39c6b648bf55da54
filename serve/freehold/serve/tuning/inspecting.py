"""What a training file would do to a run, and what would be learnt of it: by `freehold dataset check`."""

import json
from pathlib import Path
from typing import Any

from freehold.core.errors import NotFoundError, RefusedError, UserError
from freehold.core.store import Store
from freehold.serve.child_command import output_of
from freehold.serve.config import DeploymentConfig
from freehold.serve.files.purposes import TUNING
from freehold.serve.state.files import FileRecord
from freehold.serve.tuning.commands import Commands

LIMIT_S = 600.0


class DataInspector:
    """Checks files with the template of the model that would learn from them."""

    def __init__(self, deployment: DeploymentConfig, home: Path, commands: Commands | None) -> None:
        """Without commands there is no tuning here."""
        self._deployment = deployment
        self._home = home
        self._commands = commands

    @property
    def models(self) -> tuple[str, ...]:
        """Those that jobs may start from."""
        return self._deployment.tuning.models if self._deployment.tuning else ()

    async def check(self, record: FileRecord, path: Path, model: str) -> dict[str, Any]:
        """The command's document. Raises RefusedError, NotFoundError and UserError for what cannot be checked."""
        if self._commands is None:
            raise RefusedError(
                "Training data is not checked here",
                why="the config has no `tuning`",
                next_step="Add it, and start the gateway again.",
            )
        if record.purpose != TUNING:
            raise UserError(f"{record.id} is no training data", why=f"its purpose is {record.purpose}")
        command = self._commands.check(path, None, self._base(model))
        env = self._commands.environment(self._home, None)
        # Errors in the data end the command with 2, and are in what it prints.
        document: dict[str, Any] = json.loads(await output_of(command, env, LIMIT_S, accept=(0, 2)))
        return document

    def _base(self, model: str) -> str:
        tuning = self._deployment.tuning
        served = self._deployment.models.get(model)
        if tuning is None or model not in tuning.models or served is None or served.artifact is None:
            known = ", ".join(tuning.models) if tuning else "none"
            raise NotFoundError(f"No job may start from '{model}'", next_step=f"Jobs may start from: {known}.")
        return Store(self._home / "store").get(served.artifact).id
