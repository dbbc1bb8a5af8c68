"""Memory, told what kind of process this is: the cycle collector, and the allocator."""

import ctypes
import gc

_COLLECT_AFTER = 10_000  # containers made and not freed since the last look
# Batches take and free pieces of some 100 KB all the time. glibc would hand each of them back to
# the system, and have it cleared and mapped anew for the next: a page fault for each 4 KB.
_KEPT_FREE_BYTES = 4 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)


def collect_seldom() -> None:
    """Spare events the cycle collector's looks; give back what only the start needed, and then no
    more than there is reason to.

    Events have no cycles and die by reference count, but thousands of them alive at once would set
    it off all the time; what was imported it need not look at again at all.
    """
    gc.collect()
    _set_up_allocator()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)


def _set_up_allocator() -> None:
    """For glibc's, which gives back what the start left free when told: after imports that had to
    be compiled, 7 MB. Others need none of it.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_trim"):
        return
    libc.malloc_trim(0)
    libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE_BYTES)
    libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_FREE_BYTES)
