"""Training and evaluation data: what formats mean, reading them, and every problem in them with its line."""
