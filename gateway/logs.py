"""Log lines: one finished thing each, fields beside a short sentence, text or JSON.

Secrets never reach a log call; `tests/test_secrets.py` reads every line of a whole run. Lines
that the outside can cause at will go through `Seldom`. What nobody foresaw goes through
`Unforeseen`, whoever logs it, aiohttp and asyncio too: a line with its place, and its traceback
once a minute for each place.
"""

import contextlib
import io
import logging
import sys
import time
from typing import Any, Literal

import orjson

from gateway.unforeseen import Unforeseen


def log(logger: logging.Logger, level: int, message: str, **fields: Any) -> None:
    """Log `message` with `fields`; a JSON line has them as keys, a text line as `key=value`."""
    if logger.isEnabledFor(level):
        logger.log(level, message, extra={"fields": fields})


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


class _OfWorker(logging.Filter):
    """Says in every line which worker wrote it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def filter(self, record: logging.LogRecord) -> bool:
        record.fields = {"worker": self._number, **_fields(record)}
        return True


class TextFormatter(logging.Formatter):
    """`12:00:01 WARNING ingest: signature refused app=demo-key`."""

    def format(self, record: logging.LogRecord) -> str:
        name = record.name.removeprefix("gateway.")
        pairs = "".join(f" {key}={value}" for key, value in _fields(record).items())
        when = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{when} {record.levelname} {name}: {record.getMessage()}{pairs}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, logger, message, and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": record.created,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def set_up(*, level: str, style: Literal["text", "json"], worker: int | None = None) -> None:
    """Send all logging to standard error in one style. `level` as in Python's logging.

    `worker`: its number, where several processes write to one place.
    """
    handler = logging.StreamHandler(sys.stderr)
    if worker is not None:
        handler.addFilter(_OfWorker(worker))
    handler.addFilter(Unforeseen())
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class _Patient(io.FileIO):
    """A descriptor that somebody else has opened, to which nothing that is written ever fails."""

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):  # a full disk, a reader that has gone: who can be told?
            super().write(data)
        return len(data)


def never_fail_for_them() -> None:
    """Have a standard output or error that takes nothing cost what is said there, no more.

    For a process that serves: on a full disk it goes on, also to its end in good order.
    """
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:  # closed by whoever started us
            continue
        raw: Any = _Patient(number, "w", closefd=False)
        text = io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)
        setattr(sys, name, text)


class Seldom:
    """Lets one line per key and interval through, and tells how many were held back."""

    def __init__(self, interval_s: float = 60.0) -> None:
        self.interval_s = interval_s
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def log(self, key: str, logger: logging.Logger, message: str, **fields: Any) -> None:
        """Warn, unless a line of the same `key` was written within the interval."""
        now = time.monotonic()
        if now - self._last.get(key, -self.interval_s) < self.interval_s:
            self._held[key] = self._held.get(key, 0) + 1
            return
        self._last[key] = now
        held = self._held.pop(key, 0)
        more = {"held_back": held} if held else {}
        log(logger, logging.WARNING, message, **fields, **more)
