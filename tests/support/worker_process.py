"""A delivery process to kill and to freeze: `python worker_process.py URL FOLDER TTL_S ATTEMPT_S`.

It writes one line per attempt begun to FOLDER/begun, and one per beat of its loop to FOLDER/beats.
"""

import asyncio
import sys
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.streams import delivering, served

from gateway.subscribers.contract import Attempt
from gateway.subscribers.outcome import Delivered


class Slow:
    def __init__(self, folder: Path, attempt_s: float) -> None:
        self.begun = (folder / "begun").open("ab", buffering=0)
        self.attempt_s = attempt_s

    async def attempt(self, attempt: Attempt) -> Delivered:
        self.begun.write(attempt.body + b"\n")
        await asyncio.sleep(self.attempt_s)
        return Delivered(200)

    async def close(self) -> None:
        pass


async def main(url: str, folder: Path, ttl_s: float, attempt_s: float) -> None:
    beats = (folder / "beats").open("ab", buffering=0)
    slow = Slow(folder, attempt_s)
    async with delivering(url, served(slow, order="call", concurrency=4), ttl_s=ttl_s):
        while True:
            beats.write(b".")
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
