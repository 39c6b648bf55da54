"""Holds manifests against the hub that they name: licence, architecture and config at the pinned commit."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from freehold.core.errors import FreeholdError
from freehold.core.hub.huggingface import HubSource
from freehold.core.manifest.model import ModelManifest
from freehold.core.manifest.origin import HubOrigin
from freehold.core.settings import Settings

CONFIG = "config.json"
MOST_BYTES = 4 * 1024 * 1024
"""Of a config; the largest ones list their layers and have some hundred KB."""


def differences(manifest: ModelManifest, settings: Settings) -> list[str]:
    """What the publisher's repository says otherwise, or why it cannot be read; empty if all agrees."""
    if not isinstance(manifest.source, HubOrigin):
        return []
    hub = HubSource(manifest.source.repo, manifest.source.revision, settings)
    try:
        snapshot = hub.resolve()
        config = _config(hub.read(snapshot, CONFIG, MOST_BYTES))
    except FreeholdError as error:
        return [f"source: {error}"]
    return [
        *_license_problems(manifest.license.spdx, snapshot.license),
        *_architecture_problems(manifest, config),
        *(f"config.{problem}" for problem in _unlike(manifest.config or {}, config)),
    ]


def _config(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise FreeholdError(f"{CONFIG} is no JSON", why=str(error)) from None
    if not isinstance(found, dict):
        raise FreeholdError(f"{CONFIG} is no JSON object")
    return found


def _license_problems(ours: str, theirs: str) -> Iterator[str]:
    """A hub's names are SPDX identifiers in lower case, or the publisher's own for a licence of their own."""
    if not theirs or theirs.lower() == ours.lower():
        return
    known = {"mit", "apache-2.0", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "openrail"}
    if ours.startswith("LicenseRef-") and theirs.lower() not in known:
        return  # both have a name of their own for it
    yield f"license.spdx: {ours}, and the hub says {theirs}"


def _architecture_problems(manifest: ModelManifest, config: Mapping[str, Any]) -> Iterator[str]:
    named = config.get("architectures") or []
    if manifest.architecture and named and manifest.architecture not in named:
        yield f"architecture: {manifest.architecture}, and {CONFIG} says {', '.join(map(str, named))}"


def _unlike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """Keys of ours whose value is another there; what it does not say is the default of its class."""
    for key, value in ours.items():
        if key not in theirs:
            continue
        if isinstance(value, dict) and isinstance(theirs[key], dict):
            yield from (f"{key}.{problem}" for problem in _unlike(value, theirs[key]))
        elif value != theirs[key]:
            yield f"{key}: {value!r}, and {CONFIG} says {theirs[key]!r}"
