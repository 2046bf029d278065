"""What the Python peers have in common: their options, their output, the messages that clients send."""

import argparse
import json
import re

from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory

LARGEST_MESSAGE = 16 << 20
"""Large enough for every message of these tests."""


def read_options():
    """Reads the command line; see the README beside this folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url")
    parser.add_argument("--compression", action="store_true")
    parser.add_argument("--server-max-window-bits", type=int)
    parser.add_argument("--client-max-window-bits", type=int)
    parser.add_argument("--server-no-context-takeover", action="store_true")
    parser.add_argument("--client-no-context-takeover", action="store_true")
    parser.add_argument("--subprotocols", default="")
    parser.add_argument("--fragment", type=int)
    parser.add_argument("--close", type=int, default=1000)
    parser.add_argument("--reason", default="")
    parser.add_argument("--ask", action="store_true")
    options = parser.parse_args()
    options.subprotocols = [name for name in options.subprotocols.split(",") if name]
    return options


def server_extensions(options):
    """The extensions a server accepts."""
    return [ServerPerMessageDeflateFactory(**_parameters(options))] if options.compression else None


def client_extensions(options):
    """The extensions a client offers."""
    if not options.compression:
        return None
    parameters = _parameters(options)
    # A server may name the client's window only when the client said that it would follow.
    parameters["client_max_window_bits"] = parameters["client_max_window_bits"] or True
    return [ClientPerMessageDeflateFactory(**parameters)]


def _parameters(options):
    return {
        "server_max_window_bits": options.server_max_window_bits,
        "client_max_window_bits": options.client_max_window_bits,
        "server_no_context_takeover": options.server_no_context_takeover,
        "client_no_context_takeover": options.client_no_context_takeover,
    }


def report(event, **facts):
    """Prints one event for the test to read."""
    print(json.dumps({"event": event, **facts}), flush=True)


def report_open(connection):
    """Tells what was negotiated."""
    extensions = connection.response.headers.get("Sec-WebSocket-Extensions", "")
    report("open", subprotocol=connection.subprotocol or "", extensions=extensions)


def report_closed(connection):
    """Tells how the connection was closed."""
    report("closed", code=connection.close_code, reason=connection.close_reason)


def close_request(message):
    """Understands `close CODE REASON`."""
    match = re.fullmatch(r"close (\d+) ?(.*)", message, re.DOTALL) if isinstance(message, str) else None
    return match and (int(match[1]), match[2])


async def send(connection, message, fragment):
    """Sends a message, in fragments of `fragment` bytes unless that is None."""
    text = isinstance(message, str)
    if fragment is None or not message:
        await connection.send(message)
        return
    data = message.encode() if text else message
    await connection.send([data[at : at + fragment] for at in range(0, len(data), fragment)], text=text)


def messages():
    """What a client sends.

    The long ones repeat themselves at distances from a few bytes to more than 32 KiB, so that a compressor or
    decompressor with the wrong window is found out.
    """
    noise = _pseudo_random_bytes(40_000)
    words = "Sockeye swims both ways. 红鲑鱼两个方向都游。 "
    return [
        "",
        "hello",
        "héllo, 世界 🐟",
        b"",
        bytes(range(256)),
        words * 2_500,
        noise + noise[:300] + noise,
        "hello",
    ]


def _pseudo_random_bytes(length):
    """A small linear congruential generator: the same bytes in every run."""
    state, output = 1, bytearray()
    for _ in range(length):
        state = (state * 1_103_515_245 + 12_345) & 0xFFFF_FFFF
        output.append(state >> 16 & 0xFF)
    return bytes(output)
