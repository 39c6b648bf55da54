"""The verbs of this package; each module imports nothing heavy until its command runs."""
