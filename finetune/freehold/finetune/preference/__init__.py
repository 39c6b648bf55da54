"""Learning from preferences, by TRL's trainers over rows that our own masker tokenised."""
