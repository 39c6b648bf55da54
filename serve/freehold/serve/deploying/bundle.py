"""What must be inside a cluster that nothing leaves: every image and every artifact that these values bring in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from freehold.core.errors import ConfigError
from freehold.core.hub.lockfile import LockContent
from freehold.serve.config import DeploymentConfig, ProcessEngine
from freehold.serve.deploying.chart import Chart, lay_over
from freehold.serve.deploying.checking import named_artifacts


@dataclass(frozen=True)
class Image:
    """A container image, by the reference that a pod names."""

    reference: str
    used_by: str

    @property
    def is_pinned(self) -> bool:
        """By digest, so that nobody can put another one under the name."""
        return "@" in self.reference


@dataclass(frozen=True)
class NeededArtifact:
    """A model or an adapter."""

    name: str
    source: str
    """As `freehold pull` takes it; empty for one that is in the store already."""
    used_by: str
    lock: LockContent | None

    @property
    def files(self) -> int | None:
        """How many the lock names."""
        return None if self.lock is None else sum(len(model.files) for model in self.lock.models.values())

    @property
    def size_bytes(self) -> int | None:
        """Of all files in the lock."""
        if self.lock is None:
            return None
        return sum(record.size_bytes for model in self.lock.models.values() for record in model.files)


def images(values: dict[str, Any], chart: Chart, config: DeploymentConfig) -> list[Image]:
    """Every image, in the order of its first use. Raises ConfigError for one without a repository."""
    effective = chart.effective(values)
    users: dict[str, list[str]] = {}
    for user, place, image in _used(effective, config):
        users.setdefault(_reference(place, image, effective["global"]["imageRegistry"], chart.app_version), []).append(
            user
        )
    return [Image(reference, ", ".join(each)) for reference, each in users.items()]


def _used(values: dict[str, Any], config: DeploymentConfig) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Who uses which image, and where that is written."""
    known = values["images"]
    yield "gateway, attendants", "images.toolkit", known["toolkit"]
    for name, model in config.models.items():
        if isinstance(model.engine, ProcessEngine):
            yield f"engine of {name}", f"engines.{name}.image", _engine_image(name, values)
    for name, artifact in values["artifacts"].items():
        if artifact.get("source") and not artifact.get("existing"):
            yield f"pull of {name}", "images.jobs", known["jobs"]  # the probe's reference needs torch
    for name in values["jobs"]:
        yield f"job {name}", "images.jobs", known["jobs"]


def _engine_image(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The general one, the profile's over it, the model's own over both."""
    settings = lay_over(values["engineDefaults"], values["engines"].get(name, {}))
    is_ray = settings["multiNode"]["kind"] == "rayService"
    image: dict[str, Any] = values["images"]["ray" if is_ray else "engine"]
    profile = values["acceleratorProfiles"].get(settings["accelerator"]["profile"], {})
    if not is_ray:
        image = lay_over(image, profile.get("image", {}))
    return dict(lay_over(image, settings.get("image", {})))


def _reference(place: str, image: dict[str, Any], registry: str, app_version: str) -> str:
    if not image.get("repository"):
        raise ConfigError("An image has no name", [f"{place}.repository: required"])
    path = "/".join(
        part for part in ((registry or image.get("registry") or "").rstrip("/"), image["repository"]) if part
    )
    return f"{path}@{image['digest']}" if image.get("digest") else f"{path}:{image.get('tag') or app_version}"


def artifacts(values: dict[str, Any], chart: Chart, config: DeploymentConfig) -> list[NeededArtifact]:
    """Every artifact under `artifacts`, with who names it."""
    users: dict[str, list[str]] = {}
    for place, name in named_artifacts(config):
        users.setdefault(name, []).append(place.removeprefix("deployment.").removesuffix(".artifact"))
    return [
        NeededArtifact(
            name,
            "" if known.get("existing") else known.get("source", ""),
            ", ".join(users.get(name, [])),
            LockContent.model_validate_json(known["lock"]) if known.get("lock") else None,
        )
        for name, known in chart.effective(values)["artifacts"].items()
    ]
