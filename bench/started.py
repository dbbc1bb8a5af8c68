"""A started contender, as a scenario meets it: what it has stored, and when it has come to rest."""

import random
from subprocess import Popen

from bench.load import webhooks
from bench.processes import Valkey, post, wait_until

Buckets = list[tuple[float, float]]


class Running:
    """A started contender. `pid` is the root of its processes."""

    stores = True  # else it only answers: nothing of its work can be checked
    authority = ""  # file of the certificate authority, if it speaks TLS

    def __init__(self, pid: int, port: int, valkey: Valkey, streams: list[str], field: bytes):
        self.pid, self.port = pid, port
        self._redis, self._streams, self._field = valkey.client, streams, field

    def stored(self) -> int:
        """Return how many events it has in Redis."""
        pipeline = self._redis.pipeline(transaction=False)
        for stream in self._streams:
            pipeline.xlen(stream)
        return sum(pipeline.execute())

    def some_body(self) -> bytes:
        """Return the body of one of the last entries of a random stream that has any."""
        stream = random.choice([s for s in self._streams if self._redis.xlen(s)])
        entries = self._redis.xrevrange(stream, count=random.randint(1, 200))
        body: bytes = entries[-1][1][self._field]
        return body

    def settle(self, stored: int) -> None:
        """Wait until the work behind the answers is done as well."""
        wait_until(lambda: self.stored() >= stored, f"{stored} events in Redis", within_s=60)

    def ack_buckets(self) -> Buckets:
        """Return its own histogram of ack times, cumulative; empty if it has none."""
        return []


def ready(contender: Running, process: Popen[bytes], status: int = 401) -> Running:
    """Wait until it refuses a forged request, the cheapest proof that it is up and verifies."""
    forged = webhooks.request(webhooks.body("warm", 0, 1024), 0, forged=True)

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}: see its log")
        return post(contender.port, forged, contender.authority) == status

    wait_until(answers, f"a forged request is answered {status}", every_s=0.05)
    return contender
