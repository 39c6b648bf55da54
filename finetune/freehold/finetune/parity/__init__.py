"""The parity gate: an adapter that is served must be the adapter that was trained."""
