"""Adapters: what an engine loads as one, and what it refuses."""

from freehold.core.adapters.servable import ENGINE_RANKS, adapter_ranks, check_servable, engine_rank, refusals

__all__ = ["ENGINE_RANKS", "adapter_ranks", "check_servable", "engine_rank", "refusals"]
