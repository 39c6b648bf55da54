"""What the house has and could have: the catalogue and what of it fits, artifacts and how each came to be served."""
