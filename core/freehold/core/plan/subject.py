"""The model that is planned for: its shape, its parts and how it is stored, from the catalogue or from its files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from freehold.core.errors import NotFoundError, UserError
from freehold.core.manifest import ModelManifest, load_catalogue
from freehold.core.manifest.kinship import manifest_of
from freehold.core.manifest.shipped import shipped
from freehold.core.model.tensors import read_tensors
from freehold.core.plan.cache import cache_of, text_config
from freehold.core.plan.kept import Kept
from freehold.core.plan.parts import KINDS, Amount, Parts, parts_of
from freehold.core.plan.weights import WIDTHS, Weights, weights_as_stored, weights_of, widths_of
from freehold.core.settings import Settings
from freehold.core.store import Store


@dataclass(frozen=True)
class Subject:
    """One model."""

    name: str
    config: Mapping[str, Any]
    parts: Parts
    precision: str
    """Of its files."""
    stored: bool
    """Its parts are those of files that are here; else they are counted from the publisher's config."""
    manifest: ModelManifest | None = None

    @property
    def text(self) -> Mapping[str, Any]:
        return text_config(self.config)

    @property
    def kept(self) -> tuple[Kept, ...]:
        return cache_of(self.config)

    @property
    def layers(self) -> int:
        return int(self.text["num_hidden_layers"])

    @property
    def context(self) -> int:
        """Most tokens of one sequence: what config and manifest both allow; 0 when neither says."""
        told = (self.text.get("max_position_embeddings"), self.manifest and self.manifest.context_tokens)
        return min((int(each) for each in told if each), default=0)

    @property
    def experts(self) -> tuple[int, int]:
        """How many a layer has, and how many of them take a token; (1, 1) in a dense model."""
        there = _first(self.text, "num_experts", "n_routed_experts", "num_local_experts")
        taken = _first(self.text, "num_experts_per_tok", "moe_topk", "top_k_experts", "num_experts_per_token")
        return (there or 1, taken or 1)

    @property
    def active(self) -> int:
        """Parameters that a token meets, embeddings apart."""
        there, taken = self.experts
        whole = sum(self.parts[kind].elements for kind in ("attention", "dense", "routers", "rest"))
        head = self.parts["head"].elements or self.parts["embedding"].elements
        return round(whole + head + self.parts["experts"].elements * taken / there)

    def weights(self, precision: str) -> Weights:
        """At a precision. Raises UserError for one that files of another cannot be read as."""
        if self.stored and precision == self.precision:
            return weights_as_stored(self.parts)
        if self.stored and self.precision not in ("bf16", "fp16"):
            raise UserError(
                f"{self.name} is stored in {self.precision}",
                why=f"it cannot be served in {precision}",
                next_step="Plan for the model that it was made from.",
            )
        return weights_of(self.parts, widths_of(precision, self.config, own=precision == self.precision))


def find_subject(name: str, settings: Settings) -> Subject:
    """An artifact of the store, a folder, or a model of the catalogue; what is here goes before what is not.

    Raises NotFoundError with what is near, UserError for a manifest that lacks what a plan needs.
    """
    path = Path(name).expanduser()
    if name.startswith(("./", "../", "/", "~")):
        return subject_of_files(path, path.name)
    catalogue = load_catalogue(settings.manifests_root)
    store = Store(settings.store_root)
    try:
        artifact = store.get(name)
    except NotFoundError:
        return subject_of_manifest(catalogue.require(name))
    return subject_of_files(artifact.path, artifact.id, manifest_of(artifact, store, catalogue))


def subject_of_files(folder: Path, name: str, manifest: ModelManifest | None = None) -> Subject:
    """From `config.json` and the headers of the safetensors. Raises NotFoundError where there is no model."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        raise NotFoundError(f"There is no model in {folder}", why="it has no config.json") from None
    parts = parts_of(read_tensors(folder), int(text_config(config)["num_hidden_layers"]))
    return Subject(name, config, parts, _stored_precision(config, parts), stored=True, manifest=manifest)


def subject_of_manifest(manifest: ModelManifest) -> Subject:
    """From the publisher's config and the parts counted from it. Raises UserError where the manifest has none."""
    if "text" not in manifest.modalities.gives:
        raise UserError(
            f"{manifest.id} generates no text",
            why="the planner counts on a cache and on answers that are written token by token",
            next_step="Its weights are all that it needs beside a batch: `freehold models show` has their number.",
        )
    sizes = catalogued_parts().get(manifest.id)
    if manifest.config is None or sizes is None:
        raise UserError(
            f"The catalogue does not know the shape of {manifest.id}",
            why="its manifest has no config" if manifest.config is None else "its parts were not counted",
            next_step=f"Pull it, and plan for what was pulled: freehold pull {manifest.id}",
        )
    width = WIDTHS.get(manifest.precision, 2.0)
    parts = Parts({kind: Amount(sizes.get(kind, 0), round(sizes.get(kind, 0) * width)) for kind in KINDS})
    return Subject(manifest.id, manifest.config, parts, manifest.precision, stored=False, manifest=manifest)


@cache
def catalogued_parts() -> dict[str, dict[str, int]]:
    """Parameters by part for the models of the catalogue, as `freehold.core.plan.counting` counted them."""
    found: dict[str, dict[str, int]] = json.loads(shipped("sizes.json").read_bytes())
    return found


def _stored_precision(config: Mapping[str, Any], parts: Parts) -> str:
    method = (config.get("quantization_config") or {}).get("quant_method")
    if method:
        return str(method)
    served = parts.served
    return {4: "fp32", 2: "bf16", 1: "fp8"}.get(round(served.size_bytes / served.elements), "mixed")


def _first(text: Mapping[str, Any], *names: str) -> int | None:
    return next((int(text[name]) for name in names if text.get(name)), None)
