"""The trained weights, where they lie in parts on several workers."""

from typing import Any


def whole_state(trainer: Any) -> dict[str, Any] | None:
    """The model's state gathered on the first worker; None where it is whole already. Every worker must ask."""
    if not trainer.is_fsdp_enabled:
        return None
    state: dict[str, Any] = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return state
