"""The root command line. Verbs come in through the entry-point group `freehold.commands`."""
