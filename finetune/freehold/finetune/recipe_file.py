"""A recipe from a YAML file, flags, and `--set KEY=VALUE`, the later winning; every problem at once."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from freehold.core.errors import ConfigError, NotFoundError
from freehold.finetune.recipe import Recipe


def read_recipe(path: Path | None, given: Mapping[str, Any], settings: Iterable[str] = ()) -> Recipe:
    """The recipe. `given` and `settings` name fields by dotted paths (`training.epochs`), values in YAML.

    Raises ConfigError listing everything that is wrong.
    """
    fields = _load(path) if path else {}
    for key, value in given.items():
        _place(fields, key, value)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError("--set is not understood", [f"{setting!r} is not KEY=VALUE, as training.epochs=5"])
        _place(fields, key.strip(), _value(key, text))
    try:
        return Recipe.model_validate(fields)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, problem['loc'])) or 'recipe'}: {_said(problem)}" for problem in error.errors()]
        raise ConfigError(
            f"{path or 'The recipe'} is not a recipe", problems, next_step="Every field is in docs/finetune.md."
        ) from error


def _said(problem: Any) -> str:
    message: str = problem["msg"].removeprefix("Value error, ")
    return "no such field" if problem["type"] == "extra_forbidden" else message


def _load(path: Path) -> dict[str, Any]:
    try:
        fields = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise NotFoundError(
            f"No recipe at {path}",
            next_step="Give a file that is there, or `freehold finetune --model MODEL --data FILE` without one.",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML", [" ".join(str(error).split())]) from error
    if not isinstance(fields, dict):
        raise ConfigError(f"{path} is not a recipe", ["it holds no mapping with `model` and `data`"])
    return fields


def _value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError("--set is not understood", [f"{key}: {text!r} is not a YAML value"]) from error


def _place(fields: dict[str, Any], key: str, value: Any) -> None:
    """Put a value at a dotted path, in place of what either spelling of its name held."""
    *parents, last = [to_camel(part) for part in key.split(".")]
    for parent in parents:
        if not isinstance(fields.get(parent), dict):
            fields[parent] = {}
        fields = fields[parent]
    for spelling in [name for name in fields if to_camel(name) == last]:
        del fields[spelling]
    fields[last] = value
