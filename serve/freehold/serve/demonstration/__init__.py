"""The demo: the whole journey of one small model, each stage with its time and its evidence."""

from freehold.serve.demonstration.journey import Wishes, demonstrate

__all__ = ["Wishes", "demonstrate"]
