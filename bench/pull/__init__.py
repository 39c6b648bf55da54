"""`freehold pull` beside `hf download`, from the same mirror, in one run."""
