"""Answers of earlier runs, by content: who answered and what was asked."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from freehold.core.recording.lines import private_folder
from freehold.core.store.atomic import write_atomically
from freehold.evaluate.targets.reply import Reply


def content_key(*parts: Any) -> str:
    """The name of an exchange: equal content, equal name."""
    document = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(document.encode("utf-8", "surrogatepass")).hexdigest()


class Cache:
    """`<root>/<two digits>/<key>.json`, for the owner alone."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, key: str) -> Reply | None:
        """The reply; None where there is none, or what is there cannot be read."""
        try:
            return Reply.model_validate_json(self._path(key).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def put(self, key: str, reply: Reply) -> None:
        """Keep an answer. Nothing but answers is kept: what was refused or failed is asked again."""
        if reply.outcome != "answered":
            return
        path = self._path(key)
        private_folder(path.parent)
        write_atomically(path, reply.model_dump_json(exclude_defaults=True).encode("utf-8", "replace"), 0o600)

    def _path(self, key: str) -> Path:
        return self._root / key[:2] / f"{key}.json"
