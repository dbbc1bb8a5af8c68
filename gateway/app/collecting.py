"""The cycle collector, told what kind of process this is."""

import gc

_COLLECT_AFTER = 10_000  # containers made and not freed since the last look


def collect_seldom() -> None:
    """Spare events the cycle collector's looks.

    They have no cycles and die by reference count, but thousands of them alive at once would set
    it off all the time; what was imported it need not look at again at all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
