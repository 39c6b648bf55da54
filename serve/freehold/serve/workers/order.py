"""What a worker is told on the first line of its standard input."""

from pathlib import Path
from typing import Any

import msgspec

from freehold.core.settings import Settings
from freehold.serve.config import DeploymentConfig


class WorkerOrder(msgspec.Struct, frozen=True):
    """Everything that a worker knows when it starts, but the engines: those are on the lines that follow."""

    number: int
    """Its own, from 1 to `gateway.workers`; a worker that takes the place of a dead one has the same."""
    folder: Path
    """Where the workers of this gateway meet (`ControlFolder`)."""
    settings: Settings
    document: dict[str, Any]
    """The deployment; the port is never 0."""

    @property
    def config(self) -> DeploymentConfig:
        return DeploymentConfig.model_validate(self.document)


def write_order(number: int, folder: Path, settings: Settings, config: DeploymentConfig) -> bytes:
    """The line."""
    document = config.model_dump(mode="json", by_alias=True)
    return msgspec.json.encode(WorkerOrder(number, folder, settings, document), enc_hook=str) + b"\n"


def read_order(line: bytes) -> WorkerOrder:
    """The order on this line."""
    return msgspec.json.decode(line, type=WorkerOrder, dec_hook=_path)


def _path(kind: type, value: Any) -> Path:
    assert kind is Path, f"an order holds no {kind}"
    return Path(value)
