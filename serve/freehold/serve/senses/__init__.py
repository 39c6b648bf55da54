"""What a model takes beside text, and how many tokens of its context an image or a second of sound become.

Known from an artifact's files alone, before its engine runs: `rules.yaml` says which processor reads them how.
"""

from freehold.serve.senses.reading import read_senses
from freehold.serve.senses.senses import Modality, Senses

__all__ = ["Modality", "Senses", "read_senses"]
