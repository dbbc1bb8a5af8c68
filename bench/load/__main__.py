"""The load generator's process: one JSON order a line on stdin, one JSON report on stdout.

{"prepare": {token, first, count, size}} renders requests into memory; {"fire": {host, port,
connections}} sends them, each once. Rendering is thus never inside a timed round.
"""

import gc
import sys
from typing import Any

import orjson
import uvloop

from bench.load import closed_loop, webhooks
from bench.report import percentile


def _fire(requests: list[bytes], order: dict[str, Any]) -> dict[str, Any]:
    outcome = uvloop.run(
        closed_loop.run(order["host"], order["port"], order["connections"], requests)
    )
    ordered = sorted(outcome.latencies_s)
    return {
        "seconds": outcome.seconds,
        "statuses": {str(status): count for status, count in outcome.statuses.items()},
        "latency_us": {
            name: percentile(ordered, share) * 1e6
            for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
        },
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
