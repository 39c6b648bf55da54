"""From the command line to one DeploymentConfig: a file, or a single model by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from freehold.core.errors import NotFoundError, UserError
from freehold.core.hub.pull import PullOptions, pull
from freehold.core.manifest import load_catalogue
from freehold.core.manifest.kinship import manifest_of
from freehold.core.progress import hint
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.serve.config import DeploymentConfig, load_config, parse_config

MODEL_OPTIONS = {
    "name": "--name",
    "dtype": "--dtype",
    "max_model_len": "--max-model-len",
    "routes": "--route",
    "tool_call_parser": "--tool-call-parser",
    "accept_parity": "--accept-parity",
    "accept_quality": "--accept-quality",
}


def from_file(
    path: Path, *, host: str | None, port: int | None, workers: int | None = None, **model_options: Any
) -> DeploymentConfig:
    """The config file, but the gateway as the command line has it.

    Raises UserError on options that only fit one model.
    """
    given = [flag for option, flag in MODEL_OPTIONS.items() if model_options.get(option)]
    if given:
        raise UserError(
            f"{', '.join(given)} cannot be combined with a config file",
            why="it may hold several models",
            next_step=f"Write it into {path}, under that model's `engine`.",
        )
    config = load_config(path)
    changes = _given({"host": host, "port": port, "workers": workers})
    return config.model_copy(update={"gateway": config.gateway.model_copy(update=changes)})


def from_model(
    model: str,
    settings: Settings,
    *,
    host: str | None,
    port: int | None,
    name: str | None,
    dtype: str | None,
    max_model_len: int | None,
    workers: int | None = None,
    routes: Sequence[str] = (),
    tool_call_parser: str | None = None,
    accept_parity: bool = False,
    accept_quality: bool = False,
) -> DeploymentConfig:
    """A deployment of one model, pulled first when the store does not hold it.

    Its parsers are the catalogue's, where the command line names none; `routes` are further names that lead to it.
    """

    def deployment(
        artifact_id: str, served_name: str, parsers: Mapping[str, str] = MappingProxyType({})
    ) -> DeploymentConfig:
        engine = {"dtype": dtype, "maxModelLen": max_model_len, **parsers}
        engine |= _given({"toolCallParser": tool_call_parser})
        accept = [gate for gate, given in (("parity", accept_parity), ("quality", accept_quality)) if given]
        served = {"artifact": artifact_id, "engine": _given(engine), "accept": accept}
        gateway = _given({"host": host, "port": port, "workers": workers})
        config: dict[str, Any] = {"models": {served_name: served}, "gateway": gateway}
        config["routes"] = {route: {"targets": {served_name: 1}} for route in routes}
        return parse_config(config, "The command line")

    deployment("unknown-yet", name or "unknown-yet")  # a wrong option must not cost a pull
    artifact = _find_or_pull(model, settings)
    parsers = _parsers(artifact, settings)
    if not tool_call_parser and "toolCallParser" not in parsers:
        hint("Requests with tools will be refused: the catalogue knows no toolCallParser of it, see --tool-call-parser.")
    return deployment(artifact.id, name or artifact.name, parsers)


def _parsers(artifact: Artifact, settings: Settings) -> dict[str, str]:
    """How tool calls and reasoning are read, as the catalogue has it for this model; said, so that nobody wonders."""
    manifest = manifest_of(artifact, Store(settings.store_root), load_catalogue(settings.manifests_root))
    if manifest is None:
        return {}
    named = {"toolCallParser": manifest.engine.tool_call_parser, "reasoningParser": manifest.engine.reasoning_parser}
    found = {key: setting.value for key, setting in named.items() if setting}
    if found:
        told = ", ".join(f"{key} {value}" for key, value in found.items())
        hint(f"From the catalogue's page of {manifest.id}: {told}.")
    return found


def _find_or_pull(model: str, settings: Settings) -> Artifact:
    store = Store(settings.store_root)
    found = store.find(model)
    if found:
        return found
    try:
        return pull(model, PullOptions(), settings, store)
    except NotFoundError as error:
        near = ", ".join(artifact.id for artifact in store.artifacts()) or "nothing yet"
        raise NotFoundError(
            error.what, why=f"{error.why}; the store holds {near}", next_step=error.next_step
        ) from error


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
