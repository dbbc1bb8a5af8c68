"""Webhooks at a steady rate, and when each was sent.

    python -m bench.load.paced PORT RATE TOKEN FIRST COUNT SIZE

Every answer is waited for at the end; anything but 200 fails the run. Prints a JSON list: when each
was sent, in order (monotonic seconds).
"""

import asyncio
import sys
from time import monotonic

import orjson
import uvloop

from bench.load import webhooks

CONNECTIONS = 8


async def run(port: int, rate: int, requests: list[bytes]) -> list[float]:
    loop = asyncio.get_running_loop()
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    sent: list[float] = []
    began = loop.time()
    for number, request in enumerate(requests):
        wait_s = began + number / rate - loop.time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        streams[number % CONNECTIONS][1].write(request)  # pipelined where answers are late
        sent.append(monotonic())
    for number in range(len(requests)):
        head = await streams[number % CONNECTIONS][0].readuntil(b"\r\n\r\n")
        assert b" 200 " in head.partition(b"\r\n")[0], head
    return sent


def main() -> None:
    port, rate, token, first, count, size = sys.argv[1:]
    requests = webhooks.requests(token, int(first), int(count), int(size))
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(run(int(port), int(rate), requests))))


if __name__ == "__main__":
    main()
