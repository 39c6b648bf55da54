"""The model that is trained: loading the base, its adapter, precision, and the memory that they take."""
