"""Where policies are, and reading them. A policy that is named and not there is an error, never a silent pass."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from freehold.core.config import problem_text
from freehold.core.errors import ConfigError, NotFoundError
from freehold.core.policy.policy import Policy
from freehold.core.settings import POLICY_VARIABLE, Settings

_NEXT = "`freehold policy schema` prints the form; docs/policy.md explains it."


@dataclass(frozen=True)
class PolicyFile:
    """A policy, and where it was read."""

    path: Path
    policy: Policy


def find_policies(settings: Settings, deployment: Path | None = None) -> tuple[PolicyFile, ...]:
    """The machine's policy and the deployment's, where there are such: both hold.

    The machine's is what `FREEHOLD_POLICY` names, else `policy.yaml` in the data folder. Raises NotFoundError for one
    that is named and not there, ConfigError with every problem in it.
    """
    found = []
    if settings.policy_file is not None:
        found.append(_named(settings.policy_file, f"{POLICY_VARIABLE} names it"))
    elif settings.own_policy.exists() or settings.own_policy.is_symlink():
        found.append(_named(settings.own_policy, "it is a link to nowhere"))
    if deployment is not None:
        found.append(_named(deployment, "the deployment's `policy` names it"))
    return tuple(found)


def read_policy(path: Path) -> PolicyFile:
    """Read one file. Raises NotFoundError, and ConfigError with every problem in it at once."""
    try:
        read = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise NotFoundError(f"No policy file {path}", next_step=_NEXT) from None
    except OSError as error:
        raise ConfigError(f"The policy {path} cannot be read", [error.strerror or str(error)]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML", [str(error)], next_step=_NEXT) from error
    return PolicyFile(path, parse_policy(read, str(path), path.absolute().parent))


def parse_policy(data: Any, origin: str, folder: Path) -> Policy:
    """A policy as parsed; files that it names are taken from `folder`. Raises ConfigError with every problem."""
    try:
        policy = Policy.model_validate(data if data is not None else {})
    except ValidationError as error:
        problems = [problem_text(item, tags=frozenset({"[key]"})) for item in error.errors()]
        raise ConfigError(f"{origin} is not a policy", problems, next_step=_NEXT) from error
    try:
        return policy.beside(folder)
    except ConfigError as error:
        problems = [f"signatures: {problem}" for problem in error.problems]
        raise ConfigError(f"{origin} is not a policy", problems, next_step=_NEXT) from error


def _named(path: Path, by: str) -> PolicyFile:
    try:
        return read_policy(path)
    except NotFoundError as error:
        raise NotFoundError(
            error.what,
            why=f"{by}, and nothing is pulled or served under a policy that nobody can read",
            next_step="Bring the file there, or take its name away if there is to be no policy.",
        ) from None
