"""What an idle keep-alive connection costs the gateway in memory.

    python -m bench.micro.idle_connections [CONNECTIONS]

Each connection brings one webhook, so that it has everything that a connection ever has, and then
says nothing. What the kernel keeps for a socket is not in the figure.
"""

import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import machine
from bench.gateways import Gateway
from bench.load import webhooks
from bench.processes import valkey


def opened(port: int, first: int, count: int, stack: ExitStack) -> list[socket.socket]:
    """Return connections that each had their answer."""
    connections = []
    for number in range(first, first + count):
        one = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        one.sendall(webhooks.request(webhooks.body("idle", number, 1024), number))
        assert one.recv(4096).startswith(b"HTTP/1.1 200")
        connections.append(one)
    return connections


def main() -> None:
    count = int(sys.argv[1]) if sys.argv[1:] else 4000
    core = machine.cores()[0]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        engine = stack.enter_context(valkey(folder / "engine", core=core))
        more = {"server": {"max_connections": 2 * count}}
        server = stack.enter_context(Gateway("journal", more=more).start(folder, engine, core=core))
        opened(server.port, 1, count // 4, stack)  # what grows only once has grown
        server.settle(count // 4)
        before = machine.resident_bytes(server.pid)
        opened(server.port, 1 + count, count, stack)
        server.settle(count // 4 + count)
        grown = machine.resident_bytes(server.pid) - before
        print(f"{count} idle connections: {grown / count:.0f} bytes each")


if __name__ == "__main__":
    main()
