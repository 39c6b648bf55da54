"""From `SUITE.yaml` and the command line to a suite with its prompts, or to everything that is wrong with it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from freehold.core.config import problem_text
from freehold.core.errors import ConfigError, NotFoundError
from freehold.core.settings import Settings
from freehold.evaluate.prompts.collecting import collect, from_folder
from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.scorers.registry import SCORERS
from freehold.evaluate.suite.checking import problems_of
from freehold.evaluate.suite.sources import KINDS, PromptSource
from freehold.evaluate.suite.suite import Suite

_TAGS = frozenset({*SCORERS, *KINDS})
"""Of the unions of scorers and sources, which pydantic puts into paths behind the name or number of the item."""
_SOURCE: TypeAdapter[PromptSource] = TypeAdapter(PromptSource)


@dataclass(frozen=True)
class Overrides:
    """What the command line says over the file."""

    targets: Mapping[str, str]
    """Base URLs by name: of a target in the file, or of a new one whose model has the target's name."""
    budget_tokens: int | None = None
    budget_money: float | None = None


@dataclass(frozen=True)
class Loaded:
    """A suite that can be run."""

    suite: Suite
    prompts: tuple[Prompt, ...]
    """In the order in which they are asked."""


def load_suite(
    path: Path, overrides: Overrides, settings: Settings, environ: Mapping[str, str] | None = None
) -> Loaded:
    """Read a suite. Raises ConfigError with every problem at once, each with its path or line."""
    return load_data(_overridden(_read(path), overrides), path.parent, str(path), settings, environ)


def load_data(
    data: Any, folder: Path, origin: str, settings: Settings, environ: Mapping[str, str] | None = None
) -> Loaded:
    """A suite that was put together elsewhere; its relative paths begin at `folder`. Raises ConfigError."""
    problems: list[str] = []
    suite: Suite | None = None
    try:
        suite = Suite.model_validate(data)
    except ValidationError as error:
        problems += [_place(item) for item in error.errors()]
    sources = list(enumerate(suite.prompts)) if suite else _sources(data)
    placed = [(f"prompts.{index}", from_folder(source, folder)) for index, source in sources]
    seed = data.get("seed", 0) if isinstance(data, dict) else 0
    prompts = collect(placed, seed if isinstance(seed, int) else 0, settings, problems)
    if suite:
        suite = suite.model_copy(update={"prompts": tuple(source for _, source in placed)})
        problems += problems_of(suite, prompts, settings, os.environ if environ is None else environ)
    if problems or suite is None:
        raise ConfigError(f"{origin} cannot be run", problems, next_step="The schema: docs/evaluate.md.")
    return Loaded(suite, tuple(prompts))


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError as error:
        raise NotFoundError(f"No suite {path}", next_step="docs/evaluate.md has one to begin with.") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} is not YAML", [str(error)]) from error


def _overridden(data: Any, overrides: Overrides) -> Any:
    if not isinstance(data, dict):
        return data
    data = dict(data)
    targets = data.get("targets") or {}
    if overrides.targets and isinstance(targets, dict):
        targets = dict(targets)
        for name, url in overrides.targets.items():
            given = targets.get(name)
            targets[name] = {**given, "baseUrl": url} if isinstance(given, dict) else {"baseUrl": url, "model": name}
        data["targets"] = targets
    caps = {"tokens": overrides.budget_tokens, "money": overrides.budget_money}
    if given := {name: value for name, value in caps.items() if value is not None}:
        data["budget"] = {**(data.get("budget") or {}), **given}
    return data


def _sources(data: Any) -> list[tuple[int, PromptSource]]:
    """Those sources that are right in a suite that is not, so that the problems of their lines are told as well."""
    found = []
    given = data.get("prompts") if isinstance(data, dict) else None
    for index, item in enumerate(given if isinstance(given, list) else ()):
        try:
            found.append((index, _SOURCE.validate_python(item)))
        except ValidationError:
            continue
    return found


def _place(item: Any) -> str:
    where = list(item["loc"])
    if len(where) > 2 and where[0] in ("prompts", "scorers") and where[2] in _TAGS:
        del where[2]
    return problem_text({**item, "loc": where})
