"""Relays an engine's answer to the client: event streams as they come, small bodies whole, large ones in pieces."""

import aiohttp

from freehold.serve.gateway import headers
from freehold.serve.gateway.exchange import Exchange
from freehold.serve.gateway.meter import AnswerMeter

WHOLE_BODY_BYTES = 8 * 1024 * 1024
"""An answer of a declared length up to this is read to its end before its status leaves: if the engine dies on the way,
the client gets a proper error instead of a torn body."""


async def relay_answer(
    response: aiohttp.ClientResponse, exchange: Exchange, meter: AnswerMeter, fingerprint: str
) -> bytes:
    """Relay it to its end and return its first bytes. Raises aiohttp.ClientError if the engine does not get there."""
    head = headers.to_client(response.raw_headers, fingerprint)
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        return await _relay_events(response, head, exchange, meter)
    length = response.headers.get("content-length")
    if length is not None and int(length) <= WHOLE_BODY_BYTES:
        body = await response.content.read()
        meter.whole(body)
        await exchange.begin(response.status, head)
        await exchange.end(body)
        return body
    return await _relay_pieces(response, head, exchange, meter)


async def _relay_events(
    response: aiohttp.ClientResponse, head: list[tuple[bytes, bytes]], exchange: Exchange, meter: AnswerMeter
) -> bytes:
    await exchange.begin(response.status, head, is_event_stream="content-encoding" not in response.headers)
    read, write, metered = response.content.readany, exchange.write, meter.events
    first = chunk = await read()
    if chunk:
        meter.first_events(chunk)
        await write(chunk)
        while chunk := await read():
            metered(chunk)
            await write(chunk)
    meter.stream_ended()
    await exchange.end()
    return first


async def _relay_pieces(
    response: aiohttp.ClientResponse, head: list[tuple[bytes, bytes]], exchange: Exchange, meter: AnswerMeter
) -> bytes:
    await exchange.begin(response.status, head)
    first = last = await response.content.readany()
    meter.answered()
    while chunk := await response.content.readany():
        await exchange.write(last)
        last = chunk
    meter.whole(last)
    await exchange.end(last)
    return first
