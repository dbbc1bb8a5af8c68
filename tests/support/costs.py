"""Comparing what things cost, wherever it runs: in the thread's own time, each at its best."""

import time
from collections.abc import Callable, Sequence
from typing import Any


def assert_same_cost(
    acts: Sequence[Callable[[], Any]], *, within: float = 1.25, patience_s: float = 60.0
) -> None:
    """Fail unless no act costs more than `within` times what another costs.

    A busy machine makes some rounds dearer, never cheaper: the best of all rounds so far are
    compared, until they agree.
    """
    best = [float("inf")] * len(acts)
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        for _ in range(50):
            for number, act in enumerate(acts):
                began = time.thread_time_ns()
                act()
                best[number] = min(best[number], time.thread_time_ns() - began)
        if max(best) <= within * min(best):
            return
    raise AssertionError(f"at best they cost {best} ns")
