"""What is seen of a run while it goes: progress, metrics, the live report, samples of answers."""
