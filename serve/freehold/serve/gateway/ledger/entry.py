"""One exchange as the ledger keeps it, and its line in the spool."""

import zlib

import msgspec

LARGEST = 10**12
"""An answer that claims more tokens than this lies; sums of such claims would overflow the database's integers."""


class UsageEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one request used. A new field goes to the end with a default: spools outlive an upgrade."""

    time: float
    """When it ended, epoch seconds."""
    key_id: str
    """Empty where the gateway asks for no keys."""
    team: str
    model: str
    """What answered: a model of the deployment or `<upstream>/<model>`; empty if nothing was asked."""
    route: str
    """What the client named, if that was a route; else empty."""
    endpoint: str
    status: int
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    estimated_tokens: int = 0
    """How many of the tokens above nobody counted."""
    engine_us: int = 0
    money: int = 0
    """Millionths of the gateway's currency."""
    audio_seconds: int = 0
    """Length of the sound in the request, rounded up as OpenAI does."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(UsageEntry).decode


def to_line(entry: UsageEntry) -> bytes:
    """The entry as `<crc32> <json>\\n`; the checksum tells a torn line from a whole one."""
    try:
        payload = _encode(entry)
    except UnicodeEncodeError:  # a lone surrogate, which JSON in a request can bring
        payload = _encode(_readable(entry))
    return b"%08x %b\n" % (zlib.crc32(payload), payload)


def from_line(line: bytes) -> UsageEntry | None:
    """The entry of a whole line with its newline; None for one that is torn or was never an entry."""
    checksum, separator, payload = line[:8], line[8:9], line[9:-1]
    if separator != b" " or line[-1:] != b"\n" or b"%08x" % zlib.crc32(payload) != checksum:
        return None
    try:
        return _decode(payload)
    except msgspec.DecodeError:
        return None


def _readable(entry: UsageEntry) -> UsageEntry:
    texts = {
        name: value.encode(errors="replace").decode()
        for name, value in msgspec.structs.asdict(entry).items()
        if isinstance(value, str)
    }
    return msgspec.structs.replace(entry, **texts)
