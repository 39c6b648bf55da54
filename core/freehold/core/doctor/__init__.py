"""`freehold doctor`: what a machine has and lacks, one check per concern, each with its remedy."""
