"""The gateway's surface: what an application may ask of it. Data that every verb may read; the gateway itself is in
`serve`, and tests/serve/gateway/test_surface.py holds the two together."""

from freehold.core.surface.surface import Feature, Support, surface

__all__ = ["Feature", "Support", "surface"]
