"""The chart in a real cluster: `python -m tests.cluster`, or `pytest -m cluster tests/cluster`."""
