"""What it costs Redis to compare the owner of a journal in every step that publishes.

    python -m bench.micro.owner_check [ROUNDS]

The same batches through the same script with and without the comparison, in turns, each round on
shards of its own; the engine's own CPU time for each event. Prints every batch size's median and
spread over the rounds, and the median difference.
"""

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.processes import valkey
from gateway.store.scripts import script

ROUNDS, EVENTS = 7, 20_000
BATCHES = (1, 8, 64)
_COMPARED = b"  if have[2] ~= token then return {'FOREIGN'} end\n"
_READ = b"redis.call('HMGET', shard, 'pos:' .. journal, 'owner:' .. journal)"


def without(source: bytes) -> bytes:
    """Return the script as it would be if names had no owners."""
    assert _COMPARED in source
    assert _READ in source
    return source.replace(_COMPARED, b"").replace(
        _READ, b"{redis.call('HGET', shard, 'pos:' .. journal)}"
    )


def used_s(client: Any) -> float:
    info = client.info("cpu")
    used: float = info["used_cpu_user"] + info["used_cpu_sys"]
    return used


def measure(client: Any, source: bytes, shard: str, size: int) -> float:
    """Return the engine's CPU microseconds for each event."""
    sha = client.script_load(source)
    client.hset(f"{shard}:shard", "owner:journal", "token")
    names = (f"{shard}:events", f"{shard}:shard", f"{shard}:seen")
    body, position = b"x" * 1000, 0
    before = used_s(client)
    for number in range(0, EVENTS // (1 if size > 1 else 4), size):
        events = []
        for each in range(number, number + size):
            events += [each.to_bytes(16, "big"), b"m" * 150, body]
        client.evalsha(
            sha, 3, *names, "journal token", position, position + 1, 1, 1000, 1, "epoch", *events
        )
        position += 1
    used = used_s(client) - before
    client.delete(*names)
    return used / (position * size) * 1e6


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    source = script("publish").source
    with tempfile.TemporaryDirectory() as folder, valkey(Path(folder) / "engine", core=1) as engine:
        for size in BATCHES:
            found: dict[str, list[float]] = {"with": [], "without": []}
            for turn in range(rounds):
                pair = [("with", source), ("without", without(source))]
                for name, lua in pair if turn % 2 else reversed(pair):
                    shard = f"{{{turn}{name}{size}}}"
                    found[name].append(measure(engine.client, lua, shard, size))
            more = [a - b for a, b in zip(found["with"], found["without"], strict=True)]
            told = (
                f"{name} {statistics.median(each):6.2f} ({min(each):.2f}..{max(each):.2f})"
                for name, each in found.items()
            )
            print(
                f"batches of {size:2}: {', '.join(told)} us/event of Redis;"
                f" difference {statistics.median(more):+.2f}"
            )


if __name__ == "__main__":
    main()
