"""The demo: pull, fine-tune, serve, and ask what only the tuned model knows."""

from freehold.serve.demonstration.journey import demonstrate

__all__ = ["demonstrate"]
