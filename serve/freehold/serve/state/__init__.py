"""What outlives a gateway: keys, allowances and usage, in SQLite or PostgreSQL. Nothing here is on the hot path."""
