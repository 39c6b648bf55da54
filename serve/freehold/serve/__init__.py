"""Engines, the gateway in front of them, and the mirror that serves the store as a hub."""
