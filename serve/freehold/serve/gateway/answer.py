"""Relays an engine's answer to the client: event streams as they come, small bodies whole, large ones in pieces."""

import asyncio

from freehold.serve.gateway import headers
from freehold.serve.gateway.connection import EngineConnection
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.meter import AnswerMeter

BURST_S = 0.0005
"""Events that follow one another faster than this are a burst: no model writes tokens at that pace."""
GATHER_S = 0.001
"""In a burst, wait this long for more before the next write; each read and write costs as much as twenty events."""

WHOLE_BODY_BYTES = 8 * 1024 * 1024
"""An answer of a declared length up to this is read to its end before its status leaves: if the engine dies on the way,
the client gets a proper error instead of a torn body."""


async def relay_answer(answer: EngineConnection, exchange: Exchange, meter: AnswerMeter, fingerprint: str) -> bytes:
    """Relay it to its end and return its first bytes. Raises ConnectionBroken if the engine does not get there."""
    head = headers.to_client(answer.headers, fingerprint)
    if headers.find(answer.headers, b"content-type").startswith(b"text/event-stream"):
        return await _relay_events(answer, head, exchange, meter)
    length = headers.find(answer.headers, b"content-length")
    if length and int(length) <= WHOLE_BODY_BYTES:
        body = await answer.read_all()
        meter.whole(body)
        await exchange.begin(answer.status, head)
        await exchange.end(body)
        return body
    return await _relay_pieces(answer, head, exchange, meter)


async def _relay_events(
    answer: EngineConnection, head: list[tuple[bytes, bytes]], exchange: Exchange, meter: AnswerMeter
) -> bytes:
    is_readable = not headers.find(answer.headers, b"content-encoding")
    await exchange.begin(answer.status, head, is_event_stream=is_readable)
    read, write, metered = answer.read, exchange.write, meter.events
    first = chunk = await read()
    if chunk:
        meter.first_events(chunk)
        await write(chunk)
        while chunk := await read():
            pace_s = metered(chunk)
            await write(chunk)
            if pace_s < BURST_S:
                await asyncio.sleep(GATHER_S)
    meter.stream_ended()
    await exchange.end()
    return first


async def _relay_pieces(
    answer: EngineConnection, head: list[tuple[bytes, bytes]], exchange: Exchange, meter: AnswerMeter
) -> bytes:
    await exchange.begin(answer.status, head)
    first = last = await answer.read()
    meter.answered()
    while chunk := await answer.read():
        await exchange.write(last)
        last = chunk
    meter.whole(last)
    await exchange.end(last)
    return first
