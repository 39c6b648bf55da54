"""Runs of `freehold evaluate` as their folders tell of them, and promotion by them."""
