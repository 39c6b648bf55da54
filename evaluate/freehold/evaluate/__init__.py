"""Evaluation: suites, replay, judge, report. Written so far: `scan`."""
