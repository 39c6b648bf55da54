"""The catalogue: every manifest that ships with the package."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from freehold.core.errors import ConfigError, NotFoundError
from freehold.core.manifest.model import ModelManifest


@dataclass(frozen=True)
class Catalogue:
    """Manifests by id."""

    manifests: dict[str, ModelManifest]

    def __iter__(self) -> Iterator[ModelManifest]:
        return iter(self.manifests.values())

    def get(self, model_id: str) -> ModelManifest | None:
        return self.manifests.get(model_id)

    def require(self, model_id: str) -> ModelManifest:
        """Raises NotFoundError with the nearest ids."""
        if manifest := self.get(model_id):
            return manifest
        near = get_close_matches(model_id, self.manifests, n=3, cutoff=0.5)
        raise NotFoundError(
            f"No model {model_id!r} in the catalogue",
            why=f"near it: {', '.join(near)}" if near else f"it holds {', '.join(self.manifests)}",
            next_step="A hub repository is written `owner/name`, a folder or GGUF file with a leading `./` or `/`.",
        )


@cache
def load_catalogue() -> Catalogue:
    """The shipped catalogue. Raises ConfigError with every broken manifest at once."""
    return read_catalogue(_shipped_folder())


def read_catalogue(folder: Path) -> Catalogue:
    """Read every `*.yaml` of a folder; a file's name must be its id."""
    manifests: dict[str, ModelManifest] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            manifest = ModelManifest.model_validate(yaml.safe_load(path.read_text()))
        except (ValidationError, yaml.YAMLError) as error:
            problems.append(f"{path.name}: {error}")
            continue
        if manifest.id != path.stem:
            problems.append(f"{path.name}: its id is {manifest.id!r}; name the file after it")
        manifests[manifest.id] = manifest
    if problems:
        raise ConfigError(f"The catalogue in {folder} is not usable", problems)
    return Catalogue(manifests)


def _shipped_folder() -> Path:
    packaged = Path(__file__).parent / "models"
    in_checkout = Path(__file__).parents[4] / "manifests" / "models"
    return packaged if packaged.is_dir() else in_checkout
