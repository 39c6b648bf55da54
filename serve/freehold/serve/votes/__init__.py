"""Votes of the playground: which of several answers to one prompt somebody preferred, kept as evaluation data."""
