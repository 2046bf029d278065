"""A client on Python's websockets; see the README beside this folder."""

import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import peer


async def main():
    """Sends every message, each after the echo of the one before, and closes."""
    options = peer.read_options()
    settings = {
        "compression": None,
        "extensions": peer.client_extensions(options),
        "subprotocols": options.subprotocols or None,
        "max_size": peer.LARGEST_MESSAGE,
        "proxy": None,
    }
    async with connect(options.url, **settings) as connection:
        peer.report_open(connection)
        for message in peer.messages():
            await peer.send(connection, message, options.fragment)
            echo = await connection.recv()
            assert echo == message, "the echo differs from what was sent"
            kind, data = ("text", message.encode()) if isinstance(message, str) else ("binary", message)
            peer.report("echo", kind=kind, length=len(data))
        if options.ask:
            await connection.send(f"close {options.close} {options.reason}")
            await wait_until_closed(connection)
        else:
            await connection.close(options.close, options.reason)
        peer.report_closed(connection)


async def wait_until_closed(connection):
    """Expects no further message."""
    try:
        message = await connection.recv()
    except ConnectionClosed:
        return
    raise AssertionError(f"a message instead of the close: {message!r}")


asyncio.run(main())
