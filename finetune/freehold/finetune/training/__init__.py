"""From a recipe to a trained adapter: tokenised rows, the objective, the trainer, the run and its checkpoints."""
