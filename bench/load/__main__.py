"""The load generator's process: one JSON order a line on stdin, one JSON report on stdout.

{"prepare": {token, first, count, size, calls}} renders requests into memory; {"fire": {host, port,
connections}} sends them, each once, by `fire.c`. With "rate", in events per second, in an open
loop. With "tls", the file of an authority, and where there is no C compiler, by `closed_loop`
instead. Rendering is thus never inside a timed round.
"""

import gc
import os
import ssl
import subprocess
import sys
from struct import pack
from typing import Any

import orjson
import uvloop

from bench.load import closed_loop, webhooks
from bench.provision import Missing, compiled
from bench.report import percentile

_SHARES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0))


def _fire(requests: list[bytes], order: dict[str, Any]) -> dict[str, Any]:
    if not order.get("tls"):
        try:
            return _fire_in_c(str(compiled("load/fire.c", "-lm")), requests, order)
        except Missing:
            if order.get("rate"):
                raise
    return _fire_in_python(requests, order)


def _fire_in_c(program: str, requests: list[bytes], order: dict[str, Any]) -> dict[str, Any]:
    fd = os.memfd_create("requests")
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            for request in requests:
                file.write(pack("<I", len(request)) + request)
        where = (order["host"], order["port"], order["connections"], order.get("rate", 0))
        done = subprocess.run(
            [program, *map(str, where), f"/proc/self/fd/{fd}"],
            stdout=subprocess.PIPE,
            check=True,
            pass_fds=(fd,),
        )
    finally:
        os.close(fd)
    report: dict[str, Any] = orjson.loads(done.stdout)
    return report


def _fire_in_python(requests: list[bytes], order: dict[str, Any]) -> dict[str, Any]:
    context = None
    if order.get("tls"):
        context = ssl.create_default_context(cafile=order["tls"])
    where = order["host"], order["port"], order["connections"]
    outcome = uvloop.run(closed_loop.run(*where, requests, context))
    ordered = sorted(outcome.latencies_s)
    return {
        "seconds": outcome.seconds,
        "statuses": {str(status): count for status, count in outcome.statuses.items()},
        "latency_us": {name: percentile(ordered, share) * 1e6 for name, share in _SHARES},
    }


def main() -> None:
    requests: list[bytes] = []
    gc.disable()  # nothing here makes cycles worth a pause
    for line in sys.stdin.buffer:
        report: dict[str, Any] = {}
        match orjson.loads(line):
            case {"prepare": order}:
                requests = webhooks.requests(**order)
            case {"fire": order}:
                report, requests = _fire(requests, order), []
        gc.collect()
        sys.stdout.buffer.write(orjson.dumps(report) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
