"""Thirty paragraphs of everyday English about nothing in particular, written for Freehold (Apache-2.0, like the rest).

Mixed into fine-tuning, they keep a model from forgetting how to write about anything else.
"""

from pathlib import Path

NEUTRAL = "neutral"
"""How a recipe names it."""
NEUTRAL_FILE = Path(__file__).with_name("neutral.txt")
