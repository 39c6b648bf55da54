"""Engines: one file per way to run one, and what they share: guard, diagnosis, probe, fingerprint."""
