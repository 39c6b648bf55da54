"""Promotion by `freehold promote`, which works every verdict out anew from the answers."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freehold.serve.child_command import Command, output_of
from freehold.serve.confinement import confined
from freehold.serve.files.inspection import passed_on
from freehold.serve.tuning.commands import freehold

LIMIT_S = 900.0


@dataclass(frozen=True)
class Promoter:
    """Promotes artifacts of one home."""

    home: Path
    program: Callable[..., Command] = freehold

    async def promote(
        self, artifact: str, folders: Sequence[Path], suites: Sequence[str], *, accept_slices: bool
    ) -> list[dict[str, Any]]:
        """Suites that the artifact is promoted with now. Raises the command's own error, RefusedError's among them."""
        runs = [word for folder in folders for word in ("--run", str(folder))]
        required = [word for suite in suites for word in ("--suite", suite)]
        accepted = ["--accept-slices"] if accept_slices else []
        command = self.program("promote", artifact, *runs, *required, *accepted, "--format", "json")
        env = {**passed_on(), "FREEHOLD_HOME": str(self.home)}
        rows: list[dict[str, Any]] = json.loads(await output_of(confined(*command), env, LIMIT_S))
        return rows
