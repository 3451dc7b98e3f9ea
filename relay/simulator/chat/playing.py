"""Sends an answer over HTTP as scripted: its pieces, its pauses, and its end."""

from __future__ import annotations

import asyncio
import socket
import struct

from aiohttp import web

from relay.simulator.chat.delivery import Answer, End, Piece
from relay.simulator.chat.exchanges import Exchange

_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds: closing resets


async def play(request: web.Request, answer: Answer, exchange: Exchange) -> web.StreamResponse:
    """Sends an answer piece by piece, and ends it as it is to end."""
    await asyncio.sleep(answer.delay)
    if answer.status is None:
        return await _broken(request, answer.end)
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = answer.length
    exchange.status = answer.status
    await response.prepare(request)
    for piece in answer.pieces:
        await _send(response, piece, exchange)
    if answer.end is End.COMPLETE:
        await response.write_eof()
        return response
    if answer.end is End.HANG:
        await asyncio.Event().wait()
    return await _broken(request, answer.end, response)


async def _send(response: web.StreamResponse, piece: Piece, exchange: Exchange) -> None:
    await asyncio.sleep(piece.pause)  # also without a pause: other streams have their turn, and each piece its write
    await response.write(piece.data)
    exchange.pieces += 1
    exchange.sent += len(piece.data)


async def _broken(request: web.Request, end: End, response: web.StreamResponse | None = None) -> web.StreamResponse:
    """Closes the connection as no server means to: with a reset, or before the end of the body."""
    transport = request.transport
    if transport is not None and end is End.RESET:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        transport.abort()
    elif transport is not None:
        transport.close()
    return response or web.Response()
