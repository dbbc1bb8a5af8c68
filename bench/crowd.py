"""A crowd of watchers: `load/crowd.c`, what it is given, and its reports."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from struct import pack
from typing import Any

import orjson

from bench import provision
from bench.processes import running

_HEAD = b'{"type":"custom","call_cid":"%s","created_at":"2026-11-20T10:01:15.063469421Z","number":"%012d","run":"%s","custom":{"text":"'
_TAIL = b'"}}'


def call_cid(number: int) -> str:
    return f"default:crowd-{number:05d}"


def body(token: str, number: int, call: int, size: int) -> bytes:
    """Return message `number` of the run called `token`: JSON of exactly `size` bytes."""
    head = _HEAD % (call_cid(call).encode(), number, token.encode())
    return head + b"x" * (size - len(head) - len(_TAIL)) + _TAIL


class Crowd:
    """Watchers that are all open. A report means that everything came, once, in order, unchanged."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        assert process.stdout
        self._orders, self._reports = process.stdin, process.stdout

    def loop(self, in_flight: int, count: int) -> dict[str, Any]:
        """Send the next `count` messages; the next goes out when one has reached everybody."""
        return self._report(f"loop {in_flight} {count}\n")

    def pace(self, rate: float, count: int) -> dict[str, Any]:
        """Send the next `count` messages at `rate` a second."""
        return self._report(f"pace {rate} {count}\n")

    def wait_open(self) -> None:
        self._report("")

    def _report(self, order: str) -> dict[str, Any]:
        self._orders.write(order.encode())
        self._orders.flush()
        line = self._reports.readline()
        if not line:
            raise RuntimeError("the crowd gave up: see its log")
        report: dict[str, Any] = orjson.loads(line)
        return report


@contextmanager
def crowd(
    folder: Path,
    port: int,
    *,
    core: int,
    body_bytes: int,
    handshakes: Sequence[tuple[int, bytes]],
    stalled: int,
    messages: Sequence[tuple[int, int, bytes]],
    greets: bool,
) -> Iterator[Crowd]:
    """Open a watcher for each of `handshakes`, a call and a request; the last `stalled` never read.

    `messages`: for each its call, how many watchers are to get it, and the request that publishes.
    `greets`: who has come in is told so by a first frame.
    Raises `provision.Missing` where there is no compiler.
    """
    program = provision.compiled("load/crowd.c")
    with ExitStack() as stack:
        opening = b"".join(pack("<II", len(one), call) + one for call, one in handshakes)
        sending = b"".join(pack("<III", len(one), call, many) + one for call, many, one in messages)
        files = [stack.enter_context(_in_memory(content)) for content in (opening, sending)]
        words = port, body_bytes, files[0], stalled, files[1], int(greets)
        process = stack.enter_context(
            running(
                [str(program), *map(str, words)], core=core, log=folder / "crowd.log", pipes=True
            )
        )
        one = Crowd(process)
        one.wait_open()
        yield one


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Give the path of a file that another process of ours may read."""
    fd = os.memfd_create("requests")
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(content)
        yield f"/proc/{os.getpid()}/fd/{fd}"
    finally:
        os.close(fd)
