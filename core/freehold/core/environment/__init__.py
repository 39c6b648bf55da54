"""Python environments: what is installed, where, and from which lock.

Imports only the standard library: `python3 -m freehold.core.environment --venv .venv` runs before anything is
installed.
"""
