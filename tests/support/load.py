"""A sender that does what Stream does: tries again when no 2xx came, and counts."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from support.webhooks import API_KEY, SECRET, distinct_event, signed_request

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Load:
    """`acked` are the bodies answered 200; `statuses` counts every answer, 0 for none."""

    port: int
    api_key: str = API_KEY
    secret: str = SECRET
    path: str = "/webhooks/stream"
    acked: list[bytes] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    refused: int = 0  # connections that were: there was no port
    stop: bool = False
    pause_s: float = 0  # of each client, between two events
    name: str = "client"  # in the names of its calls
    size_bytes: int = 0  # of each event, at least

    def request(self, body: bytes) -> bytes:
        headers = signed_request(body, self.secret, self.api_key)
        head = f"POST {self.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name}: {text}\r\n" for name, text in headers.items())
        return head.encode() + b"\r\n" + body

    async def run(
        self, count: int, *, connections: int = 8, calls: int = 3, first: int = 0
    ) -> None:
        """Send `count` distinct events; each until it is acked. Those of a call go in order."""
        shares = [range(first + one, first + count, connections) for one in range(connections)]
        await asyncio.gather(*(self._client(one, share, calls) for one, share in enumerate(shares)))

    async def _client(self, one: int, share: range, calls: int) -> None:
        streams = None
        for n in share:
            if self.stop:
                break
            await asyncio.sleep(self.pause_s)
            body = distinct_event(n, f"default:{self.name}{one}-{n // 7 % calls}", self.size_bytes)
            deadline = time.monotonic() + 120
            while not self.stop:
                assert time.monotonic() < deadline, f"no 200 within 120 s: {self.statuses}"
                try:
                    if streams is None:
                        streams = await asyncio.open_connection("127.0.0.1", self.port)
                    status, closes = await asyncio.wait_for(self._send(streams, body), 6)
                except (
                    OSError,
                    EOFError,
                    TimeoutError,
                    RuntimeError,
                ) as error:  # uvloop: a closed transport
                    self.refused += isinstance(error, ConnectionRefusedError)
                    status, closes = 0, True
                self.statuses[status] += 1
                if closes and streams is not None:
                    streams[1].close()
                    streams = None
                if status == 200:
                    self.acked.append(body)
                    break
                await asyncio.sleep(0.02)
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()

    async def _send(self, streams: Streams, body: bytes) -> tuple[int, bool]:
        reader, writer = streams
        writer.write(self.request(body))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        return int(head.split()[1]), b"connection: close" in head


def numbers_by_call(bodies: Iterable[bytes]) -> dict[str, list[int]]:
    """The `n` of each body, by its call, first arrivals only, in order of arrival."""
    import orjson

    calls: dict[str, list[int]] = {}
    seen = set()
    for body in bodies:
        if body not in seen:
            seen.add(body)
            event = orjson.loads(body)
            calls.setdefault(event["call_cid"], []).append(event["custom"]["n"])
    return calls


def assert_in_order(bodies: Iterable[bytes]) -> None:
    """Those of a call came first in the order in which they were sent."""
    for call, numbers in numbers_by_call(bodies).items():
        assert numbers == sorted(numbers), call
