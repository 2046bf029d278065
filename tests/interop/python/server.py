"""An echo server on Python's websockets; see the README beside this folder."""

import asyncio

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

import peer


async def main():
    """Serves on a free port until ended."""
    options = peer.read_options()

    async def echo(connection):
        peer.report_open(connection)
        try:
            async for message in connection:
                if wanted := peer.close_request(message):
                    await connection.close(*wanted)
                else:
                    await peer.send(connection, message, options.fragment)
        except ConnectionClosed:
            # Told by the report below.
            pass
        peer.report_closed(connection)

    settings = {
        "compression": None,
        "extensions": peer.server_extensions(options),
        "subprotocols": options.subprotocols or None,
        "max_size": peer.LARGEST_MESSAGE,
    }
    async with serve(echo, "127.0.0.1", 0, **settings) as server:
        peer.report("ready", port=server.sockets[0].getsockname()[1])
        await server.serve_forever()


asyncio.run(main())
