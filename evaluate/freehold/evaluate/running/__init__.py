"""One run of a suite: its folder, its journal, its budget, its order."""
