"""Token counts out of an answer's last bytes, without parsing the answer."""

import re
from typing import NamedTuple

_USAGE = b'"usage"'
# Inside a JSON string the quotes would be escaped, so text that talks of usage cannot match.
_OPENING = re.compile(rb'"usage"\s*:\s*\{')
_NUMBER = re.compile(rb"\s*:\s*(\d+)")
_PROMPT = (b'"prompt_tokens"', b'"input_tokens"')
_COMPLETION = (b'"completion_tokens"', b'"output_tokens"')
_CACHED = (b'"cached_tokens"', b'"cache_read_input_tokens"')
_BESIDE = (b'"cache_read_input_tokens"', b'"cache_creation_input_tokens"')
"""Anthropic counts these beside `input_tokens`, everybody else inside."""
_REACH = 2048
"""A usage object with every detail an API has today is a quarter of this."""


class Usage(NamedTuple):
    """Tokens as the engine counted them; None where it did not say."""

    prompt: int | None
    completion: int | None
    cached: int | None = None
    """How many of the prompt's it had in its cache."""


def last_usage(data: bytes) -> Usage | None:
    """The last usage object in `data` (JSON or server-sent events), or None."""
    position = len(data)
    while (position := data.rfind(_USAGE, 0, position)) >= 0:
        if _OPENING.match(data, position):
            prompt, completion, cached = (_number(data, each, position) for each in (_PROMPT, _COMPLETION, _CACHED))
            if prompt is not None:
                prompt += sum(_number(data, (name,), position) or 0 for name in _BESIDE)
            return Usage(prompt, completion, cached)
    return None


def _number(data: bytes, names: tuple[bytes, ...], start: int) -> int | None:
    for name in names:
        position = data.find(name, start, start + _REACH)
        if position >= 0 and (match := _NUMBER.match(data, position + len(name))):
            return int(match[1])
    return None
