"""Kind `log`: one line per event on standard output, for people and for tests.

The line is written straight to the descriptor, in one piece, and only when that will not block:
a pipe that nobody reads costs an attempt its time-out, and nobody else anything. It holds no
more of the body than its length; what stands in a field cannot end the line.
"""

import asyncio
import os
import select
from collections.abc import Callable
from datetime import UTC, datetime

from gateway.subscribers.contract import Attempt
from gateway.subscribers.outcome import Delivered, Failed, Outcome, Reason

STANDARD_OUTPUT = 1
MAX_FIELD_CHARACTERS = 256  # so a line stays below PIPE_BUF, and a pipe takes it whole
MAX_ESCAPED_CHARACTERS = 1_000
POLL_S = 0.02


def _field(text: str) -> str:
    """Return `text` so that it cannot be taken for two fields or two lines."""
    cut = text[:MAX_FIELD_CHARACTERS]
    if cut.isprintable() and " " not in cut:
        return cut
    return cut.encode("unicode_escape").decode().replace(" ", "\\x20")[:MAX_ESCAPED_CHARACTERS]


def line_of(attempt: Attempt, now_ms: int) -> str:
    """Return the line: time, app, type, call, event key, bytes, attempt, late if it is."""
    meta = attempt.meta
    now = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    call = "-" if meta.call_cid is None else _field(meta.call_cid)
    late = " late=1" if attempt.late else ""
    return (
        f"{now}.{now_ms % 1000:03d}Z event app={_field(meta.app)} type={_field(meta.type)} "
        f"call={call} key={meta.key} bytes={len(attempt.body)} attempt={attempt.number}{late}\n"
    )


class LogSubscriber:
    """Writes lines to an open file descriptor, which it does not own."""

    def __init__(self, *, now_ms: Callable[[], int], descriptor: int = STANDARD_OUTPUT) -> None:
        self._now_ms, self._descriptor = now_ms, descriptor

    async def attempt(self, attempt: Attempt) -> Outcome:
        """Write the line; a closed or stalled output is a Failed."""
        try:
            async with asyncio.timeout(attempt.timeout_s):
                while not self._writable():  # noqa: ASYNC110  # files cannot be waited for
                    await asyncio.sleep(POLL_S)
            line = line_of(attempt, self._now_ms()).encode(errors="replace")
            if os.write(self._descriptor, line) < len(line):  # the disk has just become full
                return Failed(Reason.NETWORK, detail="output: not all of the line was taken")
        except TimeoutError:
            return Failed(Reason.TIMEOUT, detail="nobody reads the output")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            return Failed(Reason.NETWORK, detail=f"output: {reason}")
        return Delivered()

    async def close(self) -> None:
        """Do nothing: the descriptor is not ours."""

    def _writable(self) -> bool:
        return bool(select.select([], [self._descriptor], [], 0)[1])
