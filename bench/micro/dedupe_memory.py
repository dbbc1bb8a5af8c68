"""What does it cost Redis to remember a million events?

    python -m bench.micro.dedupe_memory [MILLIONS ...]

The real publishing script marks digests over all shards, as in one slice of the dedupe window;
the streams it fills on the way are dropped, so that what is left is the memory of the digests.
A table of digests grows in doubling steps: hence several sizes, and no single truth.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from bench import machine
from bench.processes import Valkey, valkey
from bench.report import markdown
from gateway.event import KEY_BYTES
from gateway.store import keys
from gateway.store.scripts import script

BATCH = 500
SLICE_MS = 1_800_000  # of the default window
MILLIONS = (0.25, 0.5, 1.0, 2.0)


def fill(engine: Valkey, events: int) -> None:
    """Publish `events` distinct tiny events, evenly over the shards, then drop the streams."""
    sha, now_ms = script("publish").sha, time.time_ns() // 1_000_000
    index = now_ms // SLICE_MS
    for start in range(0, events, BATCH * keys.SHARDS):
        pipeline = engine.client.pipeline(transaction=False)
        for shard in range(keys.SHARDS):
            names = (
                keys.events(shard),
                keys.shard_state(shard),
                keys.seen(shard, SLICE_MS, index),
            )
            share = max(0, min(BATCH, (events - start + shard) // keys.SHARDS))
            if not share:
                continue
            values = [b"", 0, 0, now_ms, SLICE_MS, index, b"bench"]
            for _ in range(share):
                values += (os.urandom(KEY_BYTES), b"m", b"b")
            pipeline.execute_command("EVALSHA", sha, len(names), *names, *values)
            pipeline.delete(keys.events(shard))
        pipeline.execute()


def measure(engine: Valkey, events: int) -> int:
    """Return the bytes of memory that `events` remembered events take."""
    engine.empty()
    engine.client.script_load(script("publish").source)
    before = _used_bytes(engine)
    fill(engine, events)
    digests = [keys.seen(shard, SLICE_MS, _index(engine)) for shard in range(keys.SHARDS)]
    remembered = sum(engine.client.scard(name) for name in digests)
    assert remembered == events, f"{remembered} of {events} remembered"
    return _used_bytes(engine) - before


def _used_bytes(engine: Valkey) -> int:
    return int(engine.client.info("memory")["used_memory"])


def _index(engine: Valkey) -> int:
    return int(engine.client.hget(keys.shard_state(0), f"slice:{SLICE_MS}"))


def main() -> None:
    sizes = [float(given) for given in sys.argv[1:]] or MILLIONS
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder,
        valkey(Path(folder, "valkey"), core=machine.cores()[1]) as engine,
    ):
        for millions in sizes:
            used = measure(engine, int(millions * 1e6))
            rows.append((f"{millions:g}", f"{used / 1e6:.1f}", f"{used / 1e6 / millions:.1f}"))
    print(markdown(("million events", "MB", "MB per million"), rows))


if __name__ == "__main__":
    main()
