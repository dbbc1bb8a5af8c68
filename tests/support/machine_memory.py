"""How much of the machine's memory a process takes with those that it forks."""

import threading
from pathlib import Path
from typing import Self

PAUSE_S = 0.01


class MachineMemory:
    """Looks at process `pid` and its children until closed: what both share counts once."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes = self.peak_forked_bytes = 0  # the latter: while there was a child
        self._pid, self._over = pid, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(PAUSE_S):
            children = _read(f"/proc/{self._pid}/task/{self._pid}/children").split()
            taken = sum(map(_taken, (str(self._pid), *children)))
            self.peak_bytes = max(self.peak_bytes, taken)
            if children:
                self.peak_forked_bytes = max(self.peak_forked_bytes, taken)


def _taken(pid: str) -> int:
    found = [one for one in _read(f"/proc/{pid}/smaps_rollup").splitlines() if "Pss:" in one]
    return sum(int(one.split()[1]) * 1024 for one in found if one.startswith("Pss:"))


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # it has ended
        return ""
