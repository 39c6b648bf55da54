"""The mirror: the store, served read-only with the Hub's own HTTP API."""
