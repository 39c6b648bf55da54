"""How fast one engine is and what its cache holds: data, and where it comes from."""

from bench.scale.curves.curve import CURVES, Curve, load_curve, save_curve

__all__ = ["CURVES", "Curve", "load_curve", "save_curve"]
