"""Token counts out of an answer's last bytes, without parsing the answer."""

import re
from typing import NamedTuple

_USAGE = b'"usage"'
# Inside a JSON string the quotes would be escaped, so text that talks of usage cannot match.
_OPENING = re.compile(rb'"usage"\s*:\s*\{')
_PROMPT = re.compile(rb'"(?:prompt|input)_tokens"\s*:\s*(\d+)')
_COMPLETION = re.compile(rb'"(?:completion|output)_tokens"\s*:\s*(\d+)')
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
            limit = opening.end() + _REACH
            return Usage(
                _number(_PROMPT.search(data, opening.end(), limit)),
                _number(_COMPLETION.search(data, opening.end(), limit)),
            )
    return None


def _number(match: re.Match[bytes] | None) -> int | None:
    return int(match[1]) if match else None
