"""Alembic's folder: one file per change of the tables, applied by `freehold.serve.state.migrating`."""
