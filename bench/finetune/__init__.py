"""Tokens per second and peak memory of fine-tuning, beside plain peft, TRL, and LLaMA-Factory where it is installed."""
