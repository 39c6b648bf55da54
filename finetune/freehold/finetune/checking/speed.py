"""Tokens per second of earlier runs on this machine, by model: what estimates of time go by."""

import json
from pathlib import Path

from freehold.core.settings import Settings
from freehold.core.store.atomic import write_atomically


def _path(settings: Settings) -> Path:
    return settings.run_root / "tuning-speed.json"


def measured_speed(settings: Settings, artifact_id: str) -> float | None:
    """Tokens per second of the last run of this model, or None."""
    return _read(_path(settings)).get(artifact_id)


def remember_speed(settings: Settings, artifact_id: str, tokens_per_s: float) -> None:
    """Keep what a run measured, in place of what the one before it did."""
    path = _path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(_read(path) | {artifact_id: tokens_per_s}, indent=2).encode())


def _read(path: Path) -> dict[str, float]:
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):  # a cache of measurements: a torn one is as good as none
        return {}
    return document if isinstance(document, dict) else {}
