"""Where training data comes from, a file each."""
