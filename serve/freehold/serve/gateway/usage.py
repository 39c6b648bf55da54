"""Token counts out of an answer: a whole one is decoded for them alone, of a stream its last bytes are searched."""

import re
from typing import NamedTuple

import msgspec

_USAGE = b'"usage"'
# Inside a JSON string the quotes would be escaped, so text that talks of usage cannot match.
_OPENING = re.compile(rb'"usage"\s*:\s*\{')
_COUNT = re.compile(
    rb'"(prompt_tokens|input_tokens|completion_tokens|output_tokens|cached_tokens|cache_read_input_tokens'
    rb'|cache_creation_input_tokens)"\s*:\s*(\d+)'
)
_REACH = 2048
"""A usage object with every detail an API has today is a quarter of this."""


class Heard(NamedTuple):
    """What an engine tells of an answer to a file of sound."""

    seconds: float | None
    characters: int
    """Of the text that it made of it."""


class Usage(NamedTuple):
    """Tokens as the engine counted them; None where it did not say."""

    prompt: int | None
    completion: int | None
    cached: int | None = None
    """How many of the prompt's it had in its cache."""


class _Details(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _Counted(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Answer(msgspec.Struct, gc=False):
    usage: _Counted | None = None


class _Duration(msgspec.Struct, gc=False):
    seconds: float | None = None


class _Transcript(msgspec.Struct, gc=False):
    text: str = ""
    duration: float | None = None
    usage: _Duration | None = None


_decode_transcript = msgspec.json.Decoder(_Transcript).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


def usage_of(body: bytes) -> Usage | None:
    """The usage of a whole answer in JSON; of what is none, the last object that looks like usage."""
    try:
        counted = _decode_answer(body).usage
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return last_usage(body)
    if counted is None or counted.prompt_tokens is None:
        return last_usage(body)
    details = counted.prompt_tokens_details
    return Usage(counted.prompt_tokens, counted.completion_tokens, details.cached_tokens if details else None)


def heard_of(body: bytes) -> Heard | None:
    """Seconds and text of a whole answer of `/v1/audio/…`; None where it has no such form."""
    try:
        told = _decode_transcript(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    seconds = told.duration if told.usage is None else told.usage.seconds
    return Heard(seconds, len(told.text))


def last_usage(data: bytes) -> Usage | None:
    """The last usage object in `data` (JSON or server-sent events), or None."""
    position = len(data)
    while (position := data.rfind(_USAGE, 0, position)) >= 0:
        if _OPENING.match(data, position):
            return _counts(data[position : position + _REACH])
    return None


def _counts(text: bytes) -> Usage:
    found: dict[bytes, int] = {}
    for name, number in _COUNT.findall(text):
        found.setdefault(name, int(number))  # the first: what follows the object is something else
    prompt = found.get(b"prompt_tokens", found.get(b"input_tokens"))
    completion = found.get(b"completion_tokens", found.get(b"output_tokens"))
    read, created = found.get(b"cache_read_input_tokens"), found.get(b"cache_creation_input_tokens")
    if prompt is not None:
        # Anthropic counts these beside `input_tokens`, everybody else inside.
        prompt += (read or 0) + (created or 0)
    return Usage(prompt, completion, found.get(b"cached_tokens", read))
