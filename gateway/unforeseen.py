"""What is told of exceptions that nobody foresaw, whoever logs them: we, aiohttp or asyncio.

Each is a line that says of what kind it is and where in our code it was raised. Its traceback is
written once a minute for each place, and ten lines at most: whoever finds a way to cause one can
neither fill a disk nor hide what else is said.
"""

import logging
import time
import traceback
from pathlib import Path

_OURS = Path(__file__).parent


class Unforeseen(logging.Filter):
    """Has each record of an exception say of what kind it is and where in our code it was raised.

    A place has its traceback once in `interval_s`, and `most_lines` lines in all; those held back
    after that are counted in its next one.
    """

    def __init__(self, *, interval_s: float = 60.0, most_lines: int = 10) -> None:
        super().__init__()
        self._interval_s, self._most_lines = interval_s, most_lines
        self._began_s: dict[str, float] = {}  # by place: as many as the code has, at most
        self._lines: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return True
        place = _place(error)
        told: dict[str, str | int] = {"error": type(error).__name__, "place": place}
        now_s = time.monotonic()
        if now_s - self._began_s.get(place, -self._interval_s) >= self._interval_s:
            held = self._lines.get(place, 0) - self._most_lines
            self._began_s[place], self._lines[place] = now_s, 0
            if held > 0:
                told["held_back"] = held
        else:
            record.exc_info = record.exc_text = None
        self._lines[place] = self._lines.get(place, 0) + 1
        record.fields = {**getattr(record, "fields", {}), **told}
        return self._lines[place] <= self._most_lines


def _place(error: BaseException) -> str:
    """Return the innermost line of ours on the way to `error`; of whomever, if there is none."""
    ours, last = "", "unknown"
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        path = Path(code.co_filename)
        last = f"{path.name}:{line} {code.co_name}"
        if path.is_relative_to(_OURS):
            ours = f"{path.relative_to(_OURS.parent)}:{line} {code.co_name}"
    return ours or last
