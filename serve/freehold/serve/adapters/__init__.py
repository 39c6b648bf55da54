"""LoRA adapters of served models: what may be loaded, loading it into a running engine, and proving that it acts."""
