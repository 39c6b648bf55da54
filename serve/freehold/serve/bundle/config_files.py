"""Files that a config names by path: they come along, and lie beside it inside as they did outside."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from freehold.core.policy import read_policy
from freehold.core.signing import is_pem
from freehold.serve.config import DeploymentConfig, VllmEngine


@dataclass(frozen=True)
class ConfigFile:
    """One file, and the place in the config that names it."""

    place: str
    source: Path
    inside: Path
    """Where it is put, seen from the config. One that is absolute or leads upwards cannot be put."""

    @property
    def problem(self) -> str | None:
        """Why it cannot come along."""
        if not self.source.is_file():
            return f"{self.place}: no file {self.source}"
        if self.inside.is_absolute() or ".." in self.inside.parts:
            return (
                f"{self.place}: {self.source} would lie outside of the bundle's folder; write a path below the config"
            )
        return None


def config_files(config: DeploymentConfig, path: Path) -> Iterator[ConfigFile]:
    """Those of the config that was read from `path`. Raises ConfigError where its policy cannot be read."""
    for name, model in config.models.items():
        if isinstance(model.engine, VllmEngine) and model.engine.chat_template:
            template = model.engine.chat_template
            yield ConfigFile(f"models.{name}.engine.chatTemplate", template, template)
    if config.policy is not None:
        folder = path.absolute().parent
        yield _beside("policy", config.policy, folder)
        yield from _trusted(config.policy, folder)


def _trusted(policy: Path, folder: Path) -> Iterator[ConfigFile]:
    """Keys and certificates that a policy names as files; one that is not there is the policy's own problem."""
    if not policy.is_file():
        return
    rule = read_policy(policy).policy.signatures
    for kind, given in (("keys", rule.keys), ("certificates", rule.certificates)) if rule else ():
        for number, one in enumerate(given):
            if not is_pem(one):
                yield _beside(f"policy.signatures.{kind}.{number}", Path(one), folder)


def _beside(place: str, source: Path, folder: Path) -> ConfigFile:
    return ConfigFile(place, source, source.relative_to(folder) if source.is_relative_to(folder) else source)
