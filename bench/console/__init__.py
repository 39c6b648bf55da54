"""How long the console's pages take in a house with a thousand models."""
