"""The quality gate: what a quantized model says, held against its base, both as the engine serves them."""
