"""A masker for a model in a folder: its tokenizer, its template, and every token at which its engine stops."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freehold.finetune.masking.masker import Masker


def load_masker(
    folder: Path, *, template_arguments: Mapping[str, Any] | None = None, allow_remote_code: bool = False
) -> Masker:
    """The masker of the model in `folder`. Reads no weights."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=allow_remote_code)
    return Masker(tokenizer, stop_token_ids=stop_token_ids(folder), template_arguments=template_arguments)


def stop_token_ids(folder: Path) -> tuple[int, ...]:
    """End tokens that vLLM reads beside the tokenizer's: of the generation config, or else of the model's."""
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        found = json.loads(path.read_bytes()).get("eos_token_id") if path.is_file() else None
        if found is not None:
            return tuple(found) if isinstance(found, list) else (found,)
    return ()


def context_tokens(folder: Path) -> int | None:
    """The model's context by its config; None where it does not say."""
    path = folder / "config.json"
    config = json.loads(path.read_bytes()) if path.is_file() else {}
    for part in (config, config.get("text_config") or {}):
        if isinstance(part.get("max_position_embeddings"), int):
            return int(part["max_position_embeddings"])
    return None
