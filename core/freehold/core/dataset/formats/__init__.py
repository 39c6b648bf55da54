"""Ways to write training data, a file each."""
