"""What an engine's `GET /v1/models` says of its model."""

import json


def context_of(listing: bytes, model: str) -> int | None:
    """The model's context window in tokens (vLLM's `max_model_len`); None where the engine does not say."""
    try:
        models = json.loads(listing)["data"]
        lengths = [entry.get("max_model_len") for entry in models if entry.get("id") == model]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return lengths[0] if lengths and isinstance(lengths[0], int) else None


def adapters_of(listing: bytes) -> list[str]:
    """The adapters that are loaded: vLLM names the model that each belongs to as its `parent`."""
    try:
        return [str(entry["id"]) for entry in json.loads(listing)["data"] if entry.get("parent")]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
