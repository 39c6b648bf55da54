"""Values of the chart from `freehold.yaml`: the deployment as it is, what Kubernetes needs, where models come from.

What only means something on one machine is left out, and said.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from freehold.core.hub.huggingface import KIND as HUB
from freehold.core.hub.lockfile import LockContent, LockedModel, read_lock
from freehold.core.hub.path import KIND as PATH
from freehold.core.hub.sources import open_request
from freehold.core.policy import find_policies, read_policy
from freehold.core.settings import Settings
from freehold.core.store import Artifact, SourceRecord, Store
from freehold.serve.config import DeploymentConfig, RayEngine, VllmEngine, parse_config
from freehold.serve.config.base import read_yaml

DROPPED = {
    "gateway.host": "the chart sets it",
    "gateway.port": "the chart sets it",
    "gateway.drainTimeoutS": "write gateway.drainSeconds beside `deployment`",
    "gateway.workers": "write gateway.replicas beside `deployment`",
    "gateway.database": "write `database` beside `deployment`; a URL with a password belongs into a secret",
    "tuning": "a gateway in a cluster has no GPU to tune on; write a job under `jobs`",
}
"""What a cluster has elsewhere, and where."""


def write_values(path: Path, lock: Path, settings: Settings, profile: str, report: Callable[[str], None]) -> str:
    """values.yaml. `report` is told what was left out and what is still to be filled in. Raises ConfigError."""
    document = read_yaml(path, "Write one (docs/configuration.md).")
    config = parse_config(document, str(path))
    policy = _policy(document, path, config, settings, report)
    _leave_out(document, config, report)
    sources = _Sources(Store(settings.store_root), read_lock(lock), settings, report)
    engines: dict[str, Any] = {}
    artifacts: dict[str, Any] = {}
    for name, model in config.models.items():
        if not isinstance(model.engine, VllmEngine):
            continue
        replicas = model.engine.replicas if isinstance(model.engine, RayEngine) else 1
        engines[name] = {
            "replicas": replicas,
            "accelerator": {"profile": profile, "count": _accelerators(model.engine)},
        }
        served = document["models"][name]
        for place in (served, *(served.get("adapters") or {}).values()):
            known, place["artifact"] = sources.of(place["artifact"])
            artifacts[place["artifact"]] = known
    values = {"deployment": document, **policy, "engines": engines, "artifacts": artifacts}
    if len(engines) > 1:
        values["store"] = {"volume": {"accessModes": ["ReadWriteMany"]}}
        report(
            f"store.volume is ReadWriteMany, since {len(engines)} engines share it: name a class that can with "
            "store.volume.storageClass (`kubectl get storageclass`), or take kind: ephemeral, a volume per pod."
        )
    return _HEAD.format(name=path.name) + _dump(values)


_HEAD = """# Values of the chart `freehold`, written by `freehold deploy values {name}`.
# `deployment` is that file; `engines` is what Kubernetes needs to run each model, `artifacts` where each comes from.
# Look through it, then: freehold deploy check values.yaml && helm install models helm/freehold -f values.yaml
"""


def _policy(
    document: dict[str, Any], path: Path, config: DeploymentConfig, settings: Settings, report: Callable[[str], None]
) -> dict[str, Any]:
    """The deployment's policy as a key of the chart, its keys and certificates as text; empty where there is none."""
    if find_policies(settings):
        report("The policy of this machine was left out: what is to hold in the cluster stands under `policy`.")
    if config.policy is None:
        return {}
    del document["policy"]
    policy = read_policy(path.absolute().parent / config.policy.expanduser()).policy
    if policy.signatures is not None:
        policy = policy.model_copy(update={"signatures": policy.signatures.with_texts()})
    return {"policy": policy.model_dump(mode="json", by_alias=True, exclude_unset=True)}


def _leave_out(document: dict[str, Any], config: DeploymentConfig, report: Callable[[str], None]) -> None:
    for place, instead in DROPPED.items():
        *folders, key = place.split(".")
        holder = document
        for folder in folders:
            holder = holder.get(folder) or {}
        if holder.pop(key, None) is not None:
            report(f"{place} was left out: {instead}.")
    if not document.get("gateway", True):
        del document["gateway"]
    for name, model in config.models.items():
        if not isinstance(model.engine, VllmEngine):
            continue
        engine = document["models"][name].get("engine") or {}
        if isinstance(model.engine, RayEngine):
            _without_ray(name, engine, model.engine, report)
        if engine.pop("python", None) is not None:
            report(f"models.{name}.engine.python was left out: the engine's image has its own.")
        if model.engine.chat_template is not None:
            report(
                f"models.{name}.engine.chatTemplate is a file here: mount it in its pods (engines.{name}.extraVolumes)."
            )


def _without_ray(name: str, engine: dict[str, Any], config: RayEngine, report: Callable[[str], None]) -> None:
    """The same engine as the chart runs it; `config` is what the file said."""
    for key in ("kind", "address", "pipelineParallel", "replicas", "autoscaling", "resources", "placement"):
        engine.pop(key, None)
    if config.pipeline_parallel > 1:
        stages = ["--pipeline-parallel-size", str(config.pipeline_parallel)]
        engine["extraArgs"] = [*engine.get("extraArgs", []), *stages]
    report(
        f"models.{name}.engine.kind: ray was left out: the chart runs the engine. Over several machines it takes "
        f"engines.{name}.multiNode; see engines.{name}.autoscaling too."
    )


def _accelerators(engine: VllmEngine) -> int:
    """GPUs of one engine: those that share a layer, times the stages of a pipeline."""
    if isinstance(engine, RayEngine):
        return engine.tensor_parallel * engine.pipeline_parallel
    stages = re.search(r"--pipeline[-_]parallel[-_]size[= ](\d+)", " ".join(engine.extra_args))
    return engine.tensor_parallel * (int(stages[1]) if stages else 1)


@dataclass(frozen=True)
class _Sources:
    """Where artifacts came from, as the store and the lock know it."""

    store: Store
    lock: LockContent
    settings: Settings
    report: Callable[[str], None]

    def of(self, reference: str) -> tuple[dict[str, Any], str]:
        """An entry of `artifacts`, and the name under which a cluster pulls it."""
        artifact = self.store.find(reference)
        if artifact is None:
            return self._unseen(reference)
        source = artifact.lineage.source
        if source is None or source.kind == PATH or artifact.lineage.parents:
            self.report(
                f"artifacts.{artifact.name} was made here: copy it into the cluster's store, or run its job there."
            )
            return {"existing": True}, artifact.name
        return self._pulled(artifact, source), artifact.name

    def _pulled(self, artifact: Artifact, source: SourceRecord) -> dict[str, Any]:
        locked = LockedModel(
            kind=source.kind,
            location=source.location,
            revision=source.revision,
            commit=source.commit,
            files=source.files,
        )
        typed = next((name for name, one in self.lock.models.items() if _is_same(one, locked)), None)
        if source.kind == HUB:
            typed = typed or source.location
            text = f"{typed}@{source.commit}"
        else:
            typed = text = typed or artifact.name
        entry: dict[str, Any] = {"source": text, "lock": _lock_text(typed, locked)}
        if extra := _flags(artifact, source):
            entry["extraArgs"] = extra
        return entry

    def _unseen(self, reference: str) -> tuple[dict[str, Any], str]:
        """Neither pulled nor made here: as it is typed, by the lock if that names it."""
        name = open_request(reference, self.settings).artifact_name if "/" in reference else reference
        locked = self.lock.models.get(reference)
        if locked is not None:
            text = f"{reference}@{locked.commit}" if locked.kind == HUB else reference
            return {"source": text, "lock": _lock_text(reference, locked)}, name
        self.report(
            f"artifacts.{name} is not in the store here, so its source has no commit and no lock: run "
            f"`freehold pull {reference}` and write this file again."
        )
        return {"source": reference}, name


def _is_same(one: LockedModel, other: LockedModel) -> bool:
    return (one.kind, one.location, one.commit) == (other.kind, other.location, other.commit)


def _lock_text(model: str, locked: LockedModel) -> str:
    return LockContent(models={model: locked}).model_dump_json(indent=2) + "\n"


def _flags(artifact: Artifact, source: SourceRecord) -> list[str]:
    """What the pull was allowed, or was told, here."""
    flags = [f"--allow-{name}" for name in artifact.lineage.allowed]
    weights = [Path(record.path).name for record in source.files if record.path.endswith(".gguf")]
    return flags + (["--gguf", weights[0]] if source.kind == HUB and len(weights) == 1 else [])


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)


def _dump(values: dict[str, Any]) -> str:
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
