"""Token counts out of an answer's last bytes, without parsing the answer."""

import re
from typing import NamedTuple

_USAGE = b'"usage"'
# Inside a JSON string the quotes would be escaped, so text that talks of usage cannot match.
_OPENING = re.compile(rb'"usage"\s*:\s*\{')
_NUMBER = re.compile(rb"\s*:\s*(\d+)")
_PROMPT = (b'"prompt_tokens"', b'"input_tokens"')
_COMPLETION = (b'"completion_tokens"', b'"output_tokens"')
_REACH = 2048
"""A usage object with every detail an API has today is a quarter of this."""


class Usage(NamedTuple):
    """Tokens as the engine counted them; None where it did not say."""

    prompt: int | None
    completion: int | None


def last_usage(data: bytes) -> Usage | None:
    """The last usage object in `data` (JSON or server-sent events), or None."""
    position = len(data)
    while (position := data.rfind(_USAGE, 0, position)) >= 0:
        opening = _OPENING.match(data, position)
        if opening:
            return Usage(_number(data, _PROMPT, position), _number(data, _COMPLETION, position))
    return None


def _number(data: bytes, names: tuple[bytes, bytes], start: int) -> int | None:
    for name in names:
        position = data.find(name, start, start + _REACH)
        if position >= 0 and (match := _NUMBER.match(data, position + len(name))):
            return int(match[1])
    return None
