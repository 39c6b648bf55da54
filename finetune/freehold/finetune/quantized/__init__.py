"""A base in 4 or 8 bits while its adapter is trained, by bitsandbytes."""
