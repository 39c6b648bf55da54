"""Recorded prompts and answers: their format, and the store that says who read them."""

from freehold.core.recording.access import AccessLog
from freehold.core.recording.chat import as_chat
from freehold.core.recording.days import parse_day
from freehold.core.recording.format import Kind, RecordedExchange, new_id
from freehold.core.recording.store import DayFile, Filter, RecordingStore

__all__ = [
    "AccessLog",
    "DayFile",
    "Filter",
    "Kind",
    "RecordedExchange",
    "RecordingStore",
    "as_chat",
    "new_id",
    "parse_day",
]
