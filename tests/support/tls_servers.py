"""Servers that speak TLS to clients, and plainly to each other: a front before each, whose address is
the one that they announce. (The binary of the embedded engine has no TLS of its own.)
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trustme
from support.pouring import pour

NAME = "localhost"  # what certificates are for: no address would do


class Fronts:
    """`arguments`: what the `redis` section of a configuration needs beside a URL."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._stack = stack
        root = trustme.CA()
        middle = root.create_child_ca()
        files = {"ca": "ca.pem", "client_cert": "client.pem", "client_key": "client.key"}
        self.arguments = {key: str(folder / name) for key, name in files.items()}
        root.cert_pem.write_to_path(self.arguments["ca"])
        client = middle.issue_cert("gateway@example.com")
        chain = b"".join(one.bytes() for one in client.cert_chain_pems)
        Path(self.arguments["client_cert"]).write_bytes(chain)
        client.private_key_pem.write_to_path(self.arguments["client_key"])
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        middle.issue_cert(NAME).configure_cert(self._context)
        root.configure_trust(self._context)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self.handshakes = 0
        self._ports: dict[int, int] = {}

    def port_before(self, port: int) -> int:
        """Return the port of the front before `port`, which is made if there is none."""
        if port not in self._ports:
            self._ports[port] = self._open(port)
        return self._ports[port]

    def _open(self, port: int) -> int:
        """Return the port of a front that carries what comes to `port`, until the stack closes."""
        loop, listening = asyncio.get_running_loop(), socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)

        async def accept() -> None:
            while True:
                accepted, _ = await loop.sock_accept(listening)
                task = asyncio.create_task(self.pour(accepted, port))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        tasks = {asyncio.create_task(accept())}

        async def close() -> None:
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            listening.close()

        self._stack.push_async_callback(close)
        port_in_front: int = listening.getsockname()[1]
        return port_in_front

    async def pour(self, accepted: socket.socket, port: int) -> None:
        writers: list[asyncio.StreamWriter] = []
        tasks: list[asyncio.Task[None]] = []
        try:
            reader, writer = await self._accepted(accepted)
            writers.append(writer)
            there, to_there = await asyncio.open_connection("127.0.0.1", port)
            writers.append(to_there)
            ways = (pour(reader, to_there), pour(there, writer))
            tasks += [asyncio.create_task(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            pass  # no certificate of ours, or nobody behind
        finally:
            for task in tasks:
                task.cancel()
            for one in writers:
                one.transport.abort()
            if not writers:
                accepted.close()

    async def _accepted(
        self, accepted: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """TLS for who begins with it; the servers among themselves do not."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
        accepted.setblocking(False)
        first: bytes | None = None
        while first is None:
            try:
                first = accepted.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                await asyncio.sleep(0.001)
        is_tls = first == b"\x16"
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, accepted, ssl=self._context if is_tls else None
        )
        self.handshakes += is_tls
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


@asynccontextmanager
async def fronted(folder: Path) -> AsyncIterator[Fronts]:
    async with AsyncExitStack() as stack:
        yield Fronts(folder, stack)
