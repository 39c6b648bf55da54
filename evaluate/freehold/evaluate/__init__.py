"""Evaluation: suites, replay, judge, report. The verb is not written yet."""
