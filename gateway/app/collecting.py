"""Memory, told what kind of process this is: the cycle collector, and the allocator."""

import ctypes
import gc

_COLLECT_AFTER = 10_000  # containers made and not freed since the last look


def collect_seldom() -> None:
    """Spare events the cycle collector's looks; give back what only the start needed.

    Events have no cycles and die by reference count, but thousands of them alive at once would set
    it off all the time; what was imported it need not look at again at all.
    """
    gc.collect()
    _give_back()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)


def _give_back() -> None:
    """Return free memory to the system: after imports that had to be compiled, 7 MB."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it; others need none
    if trim is not None:
        trim(0)
