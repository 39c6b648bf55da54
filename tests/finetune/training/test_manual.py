"""The manual names every field of a recipe, with its default."""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from freehold.finetune.recipe import Recipe

MANUAL = Path(__file__).parents[3] / "docs" / "finetune.md"


def test_the_manuals_recipe_is_the_schema() -> None:
    found = re.search(r"```yaml\n(model: .*?)```", MANUAL.read_text(), re.DOTALL)
    assert found, "the manual shows no recipe"
    said = yaml.safe_load(found[1])
    assert _shape(said) == _fields(Recipe)
    given = {"model": said["model"], "data": {"train": said["data"]["train"]}}
    assert Recipe.model_validate(said) == Recipe.model_validate(given), "a default differs"


def _shape(value: Any) -> Any:
    return {name: _shape(inner) for name, inner in value.items()} if isinstance(value, dict) else None


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {
        str(field.alias or name): _fields(kind) if _is_part(kind := field.annotation) else None
        for name, field in model.model_fields.items()
    }


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
