"""Several gateway processes behind one port: the parent that supervises them, and what they ask each other."""
