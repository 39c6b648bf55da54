"""Relays an engine's answer to the client: event streams as they come, small bodies whole, large ones in pieces."""

import asyncio

from freehold.serve.gateway.connection import EngineConnection
from freehold.serve.gateway.errors import EndpointNotSupported
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.hiding import UsageHider
from freehold.serve.gateway.meter import AnswerMeter

BURST_S = 0.0005
"""Events that follow one another faster than this are a burst: no model writes tokens at that pace."""
GATHER_S = 0.001
"""In a burst, wait this long for more before the next write; each read and write costs as much as twenty events."""

WHOLE_BODY_BYTES = 8 * 1024 * 1024
"""An answer of a declared length up to this is read to its end before its status leaves: if the engine dies on the way,
the client gets a proper error instead of a torn body."""

NOT_MOUNTED = b'{"detail":"Not Found"}'
"""FastAPI's answer to a path that an application has not mounted."""

Head = list[tuple[bytes, bytes]]


def is_event_stream(answer: EngineConnection) -> bool:
    """Whether the answer's head announces server-sent events."""
    return answer.fields.get(b"content-type", b"").startswith(b"text/event-stream")


async def relay_answer(
    answer: EngineConnection,
    head: Head,
    lines: bytes,
    exchange: Exchange,
    meter: AnswerMeter,
    hider: UsageHider | None,
    first: bytes,
) -> bytes:
    """Relay it to its end and return its first bytes; `first` are those that have been read already.

    Its last bytes are left for the exchange's `release`, so that it can be accounted for before. A stream's events have
    gone by then, and what is left of it is what tells the client that it was whole.
    `head` and `lines` are its headers, the latter in their final form. Raises ConnectionBroken if the engine does not
    get to its end, EndpointNotSupported if the engine does not have the path.
    """
    if is_event_stream(answer):
        return await _relay_events(answer, head, lines, exchange, meter, hider, first)
    length = answer.fields.get(b"content-length")
    if length and int(length) <= WHOLE_BODY_BYTES:
        body = answer.take_whole() or await answer.read_all()
        if answer.status == 404 and body == NOT_MOUNTED:
            raise EndpointNotSupported(
                f"The model's engine has no {exchange.scope['path']}",
                why="it serves other endpoints for a model of this kind",
                next_step="Name a model of another kind, or send the request to another endpoint.",
            )
        meter.whole(body)
        if exchange.tape is not None:
            exchange.tape.append(body)
        exchange.begin(answer.status, head, lines)
        exchange.end_with(body)
        return body
    return await _relay_pieces(answer, head, lines, exchange, meter)


async def _relay_events(
    answer: EngineConnection,
    head: Head,
    lines: bytes,
    exchange: Exchange,
    meter: AnswerMeter,
    hider: UsageHider | None,
    first: bytes,
) -> bytes:
    is_readable = not answer.fields.get(b"content-encoding")
    exchange.begin(answer.status, head, lines, is_event_stream=is_readable)
    read, write, metered, tape = answer.read, exchange.write, meter.events, exchange.tape
    shown = hider.pass_on if hider is not None and is_readable else _as_it_is
    first = chunk = first or await read()
    if chunk:
        meter.first_events(chunk)
        if (passed := shown(chunk)) and write(passed):
            await exchange.client.room()
        if tape is not None:
            tape.append(chunk)
        while chunk := await read():
            pace_s = metered(chunk)
            if (passed := shown(chunk)) and write(passed):
                await exchange.client.room()
            if tape is not None:
                tape.append(chunk)
            if pace_s < BURST_S:
                answer.hold()
                await asyncio.sleep(GATHER_S)
    exchange.end_with(hider.rest() if hider is not None else b"")
    return first


def _as_it_is(chunk: bytes) -> bytes:
    return chunk


async def _relay_pieces(
    answer: EngineConnection, head: Head, lines: bytes, exchange: Exchange, meter: AnswerMeter
) -> bytes:
    first = last = await answer.read()  # if the engine dies before it, the client gets a proper error
    meter.answered()
    exchange.begin(answer.status, head, lines)
    while chunk := await answer.read():
        if exchange.write(last):
            await exchange.client.room()
        last = chunk
    meter.whole(last)
    exchange.end_with(last)
    return first
