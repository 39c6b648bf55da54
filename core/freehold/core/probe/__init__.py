"""The golden probe: what a model answers to fixed prompts, computed once, compared at every engine start."""
