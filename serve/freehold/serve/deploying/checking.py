"""What is wrong with the values of the chart, before a cluster is asked: keys, the deployment, and what must fit.

The chart refuses the same at installation; here it is a list, and what only the toolkit can read (locks, routes) is on
it too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from pydantic import ValidationError as PydanticError

from freehold.core.errors import ConfigError
from freehold.core.hub.lockfile import LockContent
from freehold.core.policy import parse_policy
from freehold.serve.config import DeploymentConfig, ProcessEngine, RayEngine, parse_config
from freehold.serve.config.base import problem_of, read_yaml
from freehold.serve.deploying.chart import Chart


def load_values(path: Path) -> dict[str, Any]:
    """What the file holds. Raises NotFoundError, and ConfigError if it is no map."""
    values = read_yaml(path, "`freehold deploy values freehold.yaml > values.yaml` writes one.")
    if isinstance(values, dict) and "models" in values:
        raise ConfigError(
            f"{path} is no values file of the chart",
            ["models: that is a deployment, which goes under `deployment`"],
            next_step=f"`freehold deploy values {path} > values.yaml` writes the chart's values from it.",
        )
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"{path} is no values file", ["(top level): a map of keys is expected"])
    return values or {}


def check_values(values: dict[str, Any], chart: Chart, origin: str) -> DeploymentConfig:
    """The deployment in these values. Raises ConfigError with every problem at once, each with its path."""
    problems = sorted(_key_problems(values, chart.schema))
    effective = chart.effective(values)
    config: DeploymentConfig | None = None
    try:
        config = parse_config(effective.get("deployment"), origin)
    except ConfigError as error:
        problems += [f"deployment.{problem}" for problem in error.problems]
    if config is not None and not problems:  # what does not even have its form need not fit
        problems += _misfits(effective, config)
    if problems or config is None:
        raise ConfigError(
            f"{origin} is no values file of this chart", problems, next_step="All keys: helm/freehold/values.yaml."
        )
    return config


def _key_problems(values: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """What the chart's own schema says; `deployment` is any object to it."""
    for error in Draft202012Validator(schema).iter_errors(values):
        yield from _said(error)


def _said(error: ValidationError) -> Iterator[str]:
    if error.context and (nearest := best_match(error.context)) is not None:
        error = nearest  # of several alternatives the one that nearly fits
    place = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        for key in sorted(error.instance.keys() - known.keys()):
            yield f"{place}.{key}".lstrip(".") + ": unknown key"
        return
    yield f"{place or '(top level)'}: {error.message[:300]}"


def _misfits(values: dict[str, Any], config: DeploymentConfig) -> Iterator[str]:
    yield from _of_engines(values, config)
    yield from _of_store(values, config)
    yield from _of_artifacts(values, config)
    yield from _of_gateway(values, config)
    yield from _of_policy(values, config)


def _of_policy(values: dict[str, Any], config: DeploymentConfig) -> Iterator[str]:
    if config.policy is not None:
        yield f"deployment.policy: no pod has the file {config.policy}; write its rules under policy"
    if not values.get("policy"):
        return
    signatures = values["policy"].get("signatures") or {}
    files = [
        f"policy.signatures.{kind}.{index}: no pod has the file {given}; write the PEM text itself"
        for kind in ("keys", "certificates")
        for index, given in enumerate(signatures.get(kind) or ())
        if "-----BEGIN" not in given
    ]
    yield from files
    if not files:
        try:
            parse_policy(values["policy"], "policy", Path())
        except ConfigError as error:
            yield from (f"policy.{problem}" for problem in error.problems)


def _of_engines(values: dict[str, Any], config: DeploymentConfig) -> Iterator[str]:
    for name, model in config.models.items():
        if isinstance(model.engine, RayEngine):
            yield (
                f"deployment.models.{name}.engine.kind: ray is for `freehold serve`; take it out, and for an engine "
                f"over several machines set engines.{name}.multiNode.kind"
            )
    ours = {name: model.engine for name, model in config.models.items() if isinstance(model.engine, ProcessEngine)}
    for name in sorted(values["engines"].keys() - ours.keys()):
        yield f"engines.{name}: no model of that name has an engine here; there are {', '.join(ours) or 'none'}"
    for name, engine in ours.items():
        settings = {**values["engineDefaults"], **values["engines"].get(name, {})}
        accelerator = {**values["engineDefaults"]["accelerator"], **settings["accelerator"]}
        profiles = values["acceleratorProfiles"]
        if accelerator["profile"] not in profiles:
            given = accelerator["profile"]
            yield f"engines.{name}.accelerator.profile: no profile '{given}'; there are {', '.join(profiles)}"
        multi = {**values["engineDefaults"]["multiNode"], **settings["multiNode"]}
        held = accelerator["count"] * (1 if multi["kind"] == "none" else multi["size"])
        if accelerator["profile"] != "cpu" and engine.tensor_parallel > held:
            yield (
                f"engines.{name}.accelerator.count: {held} for deployment.models.{name}.engine.tensorParallel "
                f"{engine.tensor_parallel}"
            )


def _of_store(values: dict[str, Any], config: DeploymentConfig) -> Iterator[str]:
    """As templates/_checks_store.tpl has it: a volume that one node holds hangs the pods on every other."""
    volume = values["store"]["volume"]
    if volume["kind"] not in ("pvc", "existingClaim") or "ReadWriteMany" in volume["accessModes"]:
        return
    pods = {f"engines.{name}": count for name, count in _pods(values, config)}
    if values["mirror"]["enabled"]:
        pods["mirror"] = values["mirror"]["replicas"]
    if max(pods.values(), default=0) > 1 or (sum(pods.values()) > 1 and not volume["singleNode"]):
        held = ", ".join(f"{holder}: {count}" for holder, count in pods.items())
        yield (
            f"store.volume.accessModes: {', '.join(volume['accessModes'])} is for one pod, and {sum(pods.values())} "
            f"would hold it ({held}); write [ReadWriteMany] with a class that can, or kind: ephemeral (a volume per "
            "pod), or singleNode: true where all of them are on one node"
        )


def _pods(values: dict[str, Any], config: DeploymentConfig) -> Iterator[tuple[str, int]]:
    """Most pods of each model's engine."""
    for name, model in config.models.items():
        if not isinstance(model.engine, ProcessEngine):
            continue
        settings = {**values["engineDefaults"], **values["engines"].get(name, {})}
        scaling = {**values["engineDefaults"]["autoscaling"], **settings["autoscaling"]}
        multi = {**values["engineDefaults"]["multiNode"], **settings["multiNode"]}
        replicas = settings["replicas"] if scaling["kind"] == "none" else scaling["maxReplicas"]
        yield name, replicas * (1 if multi["kind"] == "none" else multi["size"])


def _of_artifacts(values: dict[str, Any], config: DeploymentConfig) -> Iterator[str]:
    known = values["artifacts"]
    for place, name in named_artifacts(config):
        if name not in known:
            yield f"{place}: '{name}' is not under artifacts; there are {', '.join(known) or 'none'}"
    for name, artifact in known.items():
        if artifact.get("existing"):
            continue
        if not artifact.get("source"):
            yield f"artifacts.{name}.source: required, unless `existing: true`"
        elif artifact.get("lock"):
            yield from _lock_problems(f"artifacts.{name}", artifact["source"], artifact["lock"])
        elif values["airGapped"]:
            yield f"artifacts.{name}.lock: required with airGapped, so that what comes in is what was checked"


def named_artifacts(config: DeploymentConfig) -> Iterator[tuple[str, str]]:
    """Every artifact that the deployment names, with the place where it does."""
    for name, model in config.models.items():
        if model.artifact:
            yield f"deployment.models.{name}.artifact", model.artifact
        for adapter, served in (model.adapters or {}).items():
            yield f"deployment.models.{name}.adapters.{adapter}.artifact", served.artifact


def _lock_problems(place: str, source: str, text: str) -> Iterator[str]:
    try:
        lock = LockContent.model_validate_json(text)
    except PydanticError as error:
        yield f"{place}.lock: no freehold.lock: {problem_of(error.errors()[0])[:200]}"
        return
    model, _, commit = source.partition("@")
    locked = lock.models.get(model)
    if locked is None:
        yield f"{place}.lock: it does not lock {model}, but {', '.join(lock.models) or 'nothing'}"
    elif commit and commit not in (locked.commit, locked.revision):
        yield f"{place}.source: {commit}, locked at {locked.commit}"


def _of_gateway(values: dict[str, Any], config: DeploymentConfig) -> Iterator[str]:
    gateway, database = values["gateway"], values["database"]
    if config.tuning is not None:
        yield "deployment.tuning: a gateway in a cluster has no GPU to tune on; take it out, and write a job under jobs"
    if config.gateway.workers > 1:
        yield "deployment.gateway.workers: a gateway in a cluster is one process; write gateway.replicas instead"
    is_shared = config.gateway.database is None and database["kind"] == "postgresql"
    is_shared = is_shared or (config.gateway.database or "").startswith("postgresql")
    if not is_shared and (gateway["replicas"] > 1 or gateway["autoscaling"]["enabled"]):
        yield "gateway.replicas: several gateways cannot share SQLite; write database.kind: postgresql"
    if database["kind"] == "postgresql" and config.gateway.database is None and not database["existingSecret"]["name"]:
        yield "database.existingSecret.name: required with postgresql; its URL holds a password"
    if values["airGapped"]:
        yield from (
            f"deployment.upstreams.{name}: requests would leave, and airGapped forbids it" for name in config.upstreams
        )
    own = {"FREEHOLD_DATABASE_URL"} | (
        {"FREEHOLD_ADMIN_KEY"} if gateway["adminKey"]["existingSecret"]["name"] else set()
    )
    given = own | values["secretEnv"].keys() | {one.get("name") for one in gateway["extraEnv"]}
    for place, variable in secrets(config):
        if variable not in given:
            yield f"{place}: the variable {variable} has no secret; write secretEnv.{variable}: {{name: …, key: …}}"


def secrets(config: DeploymentConfig) -> Iterator[tuple[str, str]]:
    """Environment variables that the gateway reads, with the places that name them."""
    for name, model in config.models.items():
        reference = getattr(model.engine, "api_key_from", None)
        if reference is not None:
            yield f"deployment.models.{name}.engine.apiKeyFrom.env", reference.env
    for name, upstream in config.upstreams.items():
        if upstream.api_key_from is not None:
            yield f"deployment.upstreams.{name}.apiKeyFrom.env", upstream.api_key_from.env
    if config.gateway.admin_key_from is not None:
        yield "deployment.gateway.adminKeyFrom.env", config.gateway.admin_key_from.env
