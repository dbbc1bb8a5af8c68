"""What the number of shards costs: CPU to publish one event, ours and Valkey's.

    python -m bench.micro.shards [SHARDS ...]

Each count publishes the same events from a journal, a tick's worth at a time, into a Valkey of
its own. More shards mean more and smaller script calls for each batch; fewer mean fewer pieces
over which a Cluster can spread the load and a subscriber's leases.
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from bench.processes import valkey
from gateway.clock import now_ms
from gateway.event import Event
from gateway.journal.journal import Journal
from gateway.metrics import Metrics
from gateway.options import JournalOptions
from gateway.store import keys
from gateway.store.publishing.publisher import Publisher
from gateway.tasks import end

EVENTS, TICK, CALLS = 40_000, 32, 1000


def events() -> list[Event]:
    pad = b"x" * 900
    return [
        Event(
            app="bench",
            type="custom",
            call_cid=f"default:{n % CALLS}",
            accepted_ms=now_ms(),
            key=os.urandom(16),
            body=b'{"type":"custom","n":%d,"pad":"%b"}' % (n, pad),
        )
        for n in range(EVENTS)
    ]


async def publish(folder: Path, url: str) -> float:
    """Return our CPU seconds for publishing all."""
    metrics = Metrics()
    journal = Journal(folder, JournalOptions(), metrics)
    publisher = Publisher(url, journal, metrics, window_s=3600)
    task = asyncio.create_task(publisher.run())
    while not publisher.is_up:
        await asyncio.sleep(0.01)
    everything = events()
    used = 0.0
    for at in range(0, EVENTS, TICK):
        journal.append(everything[at : at + TICK])
        before = time.process_time()
        publisher.wake()
        while publisher.cursor < journal.end:
            await asyncio.sleep(0.0005)
        used += time.process_time() - before
    await end([task])
    journal.close()
    return used


def main() -> None:
    for count in [int(word) for word in sys.argv[1:]] or [1, 4, 8, 16, 32]:
        keys.SHARDS = count
        with (
            tempfile.TemporaryDirectory() as folder,
            valkey(Path(folder) / "engine", core=1) as engine,
        ):
            before = engine.client.info("cpu")
            ours = uvloop.run(publish(Path(folder) / "journal", engine.url))
            after = engine.client.info("cpu")
            theirs = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
            print(
                f"{count:3} shards: {ours / EVENTS * 1e6:5.1f} us/event ours,"
                f" {theirs / EVENTS * 1e6:5.1f} us/event Valkey"
            )


if __name__ == "__main__":
    main()
