"""Asking an OpenAI-compatible endpoint, and what came of it."""
