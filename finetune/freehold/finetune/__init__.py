"""Fine-tuning: datasets, recipes, trainers, merge, parity. The verb is not written yet."""
