"""Idle cores that poll instead of halting, for as long as something is measured.

A core of a virtual machine that halts goes back to the host. What runs on it next finds its caches
as the neighbours have left them, and is charged for that: something else each time, and only where
a server sleeps between two batches. Where Linux' own `haltpoll` looks after idle cores it can be
told to poll, by root. What it was told before is put back.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_HALTPOLL = Path("/sys/module/haltpoll/parameters")  # Documentation/virt/guest-halt-polling.rst
_GOVERNOR = Path("/sys/devices/system/cpu/cpuidle/current_governor")
_POLL_NS = 3_000_000  # longer than anybody here waits for an answer
_WANTED = {
    "guest_halt_poll_grow_start": str(_POLL_NS),
    "guest_halt_poll_allow_shrink": "N",
    "guest_halt_poll_ns": str(_POLL_NS),
}


@contextmanager
def awake() -> Iterator[None]:
    """Have idle cores poll, where that can be had."""
    before: dict[str, str] = {}
    try:
        with suppress(OSError):
            for name, value in _WANTED.items() if _is_in_charge() else ():
                was = (_HALTPOLL / name).read_text()
                (_HALTPOLL / name).write_text(value)
                before[name] = was
        yield
    finally:
        for name, value in before.items():
            (_HALTPOLL / name).write_text(value)


def _is_in_charge() -> bool:
    try:
        return _GOVERNOR.read_text().strip() == "haltpoll"
    except OSError:
        return False


def idling() -> str:
    """Say what cores do while nothing runs on them."""
    if _is_in_charge():
        polls = int((_HALTPOLL / "guest_halt_poll_ns").read_text()) >= _POLL_NS
        return "idle cores poll" if polls else "IDLE CORES HALT: figures vary more"
    return "idle cores as the system has them"
