"""Getting a model: sources, verified and resumable transfer, the lock, GGUF import."""
