"""Token counts out of an answer's last bytes, without parsing the answer."""

import re
from typing import NamedTuple

_USAGE = b'"usage"'
# Inside a JSON string the quotes would be escaped, so text that talks of usage cannot match.
_OPENING = re.compile(rb'"usage"\s*:\s*\{')
_COUNT = re.compile(
    rb'"(prompt_tokens|input_tokens|completion_tokens|output_tokens|cached_tokens|cache_read_input_tokens'
    rb'|cache_creation_input_tokens)"\s*:\s*(\d+)'
)
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
