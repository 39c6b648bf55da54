"""What a gateway costs: Freehold beside its peers, in one run."""
