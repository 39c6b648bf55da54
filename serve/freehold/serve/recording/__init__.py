"""The writing side of recordings: what a relayed exchange becomes, off the hot path."""

from freehold.serve.recording.raw import RawExchange
from freehold.serve.recording.recorder import Recorder, RecorderCounts
from freehold.serve.recording.redaction import check_redaction

__all__ = ["RawExchange", "Recorder", "RecorderCounts", "check_redaction"]
