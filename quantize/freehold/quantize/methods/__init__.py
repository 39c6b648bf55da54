"""Ways to make a model smaller, a file each."""
