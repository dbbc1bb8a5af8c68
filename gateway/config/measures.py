"""Numbers with their units: how long, how big, how many.

A function takes what YAML had and returns seconds, bytes or a count, or raises `ValueError`
with a text that says what would be right.
"""

import re

from gateway.config.processors import processors

MAX_WORKERS = 64
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB|TiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def duration(value: object) -> float:
    """Return seconds for `250ms`, `6s`, `15m`, `1h` or `7d`."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("expected a duration with its unit, such as 250ms, 6s, 15m, 1h or 7d")
    return float(found[1]) * _SECONDS[found[2]]


def positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be more than zero")
    return value


def size(value: object) -> int:
    """Return bytes for `512B`, `64KiB`, `1MiB` or `2GiB`."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("expected a size with its unit, such as 512B, 64KiB, 1MiB or 2GiB")
    return int(found[1]) * _BYTES[found[2]]


def workers(value: object) -> int:
    """Return how many processes: a number, or one for each processor that we may use."""
    if value == "auto":
        return min(processors(), MAX_WORKERS)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_WORKERS:
        raise ValueError(f"expected a number of processes from 1 to {MAX_WORKERS}, or auto")
    return value


def lease(value: object) -> float:
    seconds = duration(value)
    if not 1 <= seconds <= 60:
        raise ValueError("expected 1s to 1m: how long nobody takes over from a silent gateway")
    return seconds


def _whole_seconds(value: object, least: int, most: int) -> int:
    seconds = duration(value)
    if not seconds.is_integer() or not least <= seconds <= most:
        raise ValueError(f"expected whole seconds, from {least}s to {most}s")
    return int(seconds)


def poll_wait(value: object) -> int:
    return _whole_seconds(value, 1, 20)


def visibility_timeout(value: object) -> int:
    return _whole_seconds(value, 5, 43_200)
