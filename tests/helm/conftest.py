"""The chart, packaged once for all of its tests."""

from fixtures.chart.rendering import chart

__all__ = ["chart"]
