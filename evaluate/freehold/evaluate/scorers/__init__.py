"""Scorers: a file each behind one interface, and the registry that names them."""
