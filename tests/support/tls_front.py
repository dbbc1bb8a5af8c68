"""TLS in front of a Redis that has none: takes connections with a certificate, and can cut them."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
from support.pouring import pour


class TlsFront:
    """`arguments` is what the `redis` section of a configuration needs to come in here."""

    def __init__(self, folder: Path, socket: str) -> None:
        self._socket = socket
        self._open: set[asyncio.StreamWriter] = set()
        self.taken = 0
        authority = trustme.CA()
        names = {"ca": "ca.pem", "client_cert": "client.pem", "client_key": "client.key"}
        self.arguments = {key: str(folder / name) for key, name in names.items()}
        authority.cert_pem.write_to_path(self.arguments["ca"])
        client = authority.issue_cert("gateway@example.com")
        client.cert_chain_pems[0].write_to_path(self.arguments["client_cert"])
        client.private_key_pem.write_to_path(self.arguments["client_key"])
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self.context)
        authority.configure_trust(self.context)
        self.context.verify_mode = ssl.CERT_REQUIRED

    def cut(self) -> None:
        """Reset every connection there is."""
        for writer in tuple(self._open):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        self._open.add(writer)
        engine_reader, engine = await asyncio.open_unix_connection(self._socket)
        answers = asyncio.create_task(pour(engine_reader, writer))
        try:
            await pour(reader, engine)
        finally:
            answers.cancel()
            self._open.discard(writer)
            engine.close()
            writer.close()


@asynccontextmanager
async def tls_front(folder: Path, engine_url: str) -> AsyncIterator[TlsFront]:
    front = TlsFront(folder, engine_url.removeprefix("unix://"))
    server = await asyncio.start_server(front.serve, "127.0.0.1", 0, ssl=front.context)
    port = server.sockets[0].getsockname()[1]
    front.arguments["url"] = f"rediss://127.0.0.1:{port}/0"
    try:
        yield front
    finally:
        front.cut()
        server.close()
