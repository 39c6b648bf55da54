"""The text that ships with Freehold, written for it (Apache-2.0, like the rest). The two kinds share no sentence."""

from pathlib import Path

_FOLDER = Path(__file__).parent

NEUTRAL = "neutral"
"""How a command line names it."""
CALIBRATION = (_FOLDER / "calibration.jsonl",)
"""96 conversations in 14 languages: questions, code, extraction, tables, translation, reasoning."""
HELD_OUT = (_FOLDER / "held_out_passages.jsonl", _FOLDER / "held_out_chats.jsonl")
"""40 passages and conversations in 11 languages, about other things."""
