"""Recorded traffic against candidates: what the closed model answered then is the baseline."""
