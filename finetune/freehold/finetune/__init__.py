"""Fine-tuning: data checks, masks, recipes, training, merge, and the parity gate."""
