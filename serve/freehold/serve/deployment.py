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
    """A deployment of one model, pulled first when the store does not hold it; of an adapter, its base with it.

    Its parsers are the catalogue's, where the command line names none; `routes` are further names that lead to it.
    """

    def deployment(
        artifact_id: str,
        served_name: str,
        parsers: Mapping[str, str] = MappingProxyType({}),
        adapters: Mapping[str, str] | None = None,
    ) -> DeploymentConfig:
        engine = _given({"dtype": dtype, "maxModelLen": max_model_len, **parsers})
        engine |= _given({"toolCallParser": tool_call_parser})
        accept = [gate for gate, given in (("parity", accept_parity), ("quality", accept_quality)) if given]
        served: dict[str, Any] = {"artifact": artifact_id, "engine": engine, "accept": accept}
        if adapters is not None:
            of_adapter = [gate for gate in accept if gate == "parity"]
            served["adapters"] = {name: {"artifact": each, "accept": of_adapter} for name, each in adapters.items()}
        gateway = _given({"host": host, "port": port, "workers": workers})
        config: dict[str, Any] = {"models": {served_name: served}, "gateway": gateway}
        asked = next(iter(adapters or ()), served_name)
        config["routes"] = {route: {"targets": {asked: 1}} for route in routes}
        return parse_config(config, "The command line")

    deployment("unknown-yet", name or "unknown-yet")  # a wrong option must not cost a pull
    artifact = _find_or_pull(model, settings)
    base = _base_of(artifact, settings)
    parsers = _parsers(base, settings, knows_tools=tool_call_parser is not None)
    if base.id != artifact.id:
        hint(f"{artifact.id} is an adapter: it is served with {base.id}, each by its name.")
        return deployment(base.id, base.name, parsers, {name or artifact.name: artifact.id})
    return deployment(artifact.id, name or artifact.name, parsers)


def _base_of(artifact: Artifact, settings: Settings) -> Artifact:
    """What an adapter was trained on; a model itself. Raises NotFoundError when it is gone."""
    if artifact.lineage.kind == "model":
        return artifact
    try:
        return Store(settings.store_root).get(artifact.lineage.parents[0])
    except NotFoundError as error:
        raise NotFoundError(
            f"The base of {artifact.id} is not in the store",
            why=f"it was trained on {artifact.lineage.parents[0]}",
            next_step="Pull that again.",
        ) from error


def _parsers(artifact: Artifact, settings: Settings, *, knows_tools: bool) -> dict[str, str]:
    """How tool calls and reasoning are read, as the catalogue has it for this model; said, so that nobody wonders.

    So is it when tool calls will be refused, unless the command line `knows_tools`.
    """
    manifest = manifest_of(artifact, Store(settings.store_root), load_catalogue(settings.manifests_root))
    engine = manifest.engine if manifest else None
    named = {
        "toolCallParser": engine and engine.tool_call_parser,
        "reasoningParser": engine and engine.reasoning_parser,
    }
    found = {key: setting.value for key, setting in named.items() if setting}
    if manifest and found:
        told = ", ".join(f"{key} {value}" for key, value in found.items())
        hint(f"From the catalogue's page of {manifest.id}: {told}.")
    writes = manifest is None or "text" in manifest.modalities.gives
    if writes and not knows_tools and "toolCallParser" not in found:
        hint("Requests with tools will be refused: the catalogue knows no parser for it, see --tool-call-parser.")
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
