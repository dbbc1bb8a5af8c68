"""Who accepts next, where workers share one listening socket; and accepting without files.

Left to the kernel, whoever is awake first accepts all that waits: of 64 connections that came at
once, two idle workers took 64 and 0 in every second try, and a sender keeps few connections for
long. SO_REUSEPORT spreads by a hash (4 connections as 3 and 1, or 4 and 0, as often as not), and
what it gave to a worker that hangs waits there. So the socket is shared, and a worker that has
more connections than another stands back for a moment; what nobody takes meanwhile it takes.

Where no file may be opened any more, whoever comes is answered with the help of a descriptor that
was kept for that: left in the queue it would wait without a word, and wake us without end.
"""

import asyncio
import contextlib
import errno
import logging
import mmap
import os
import socket
import struct
from collections.abc import Callable

from gateway.logs import Seldom

_logger = logging.getLogger(__name__)
_SLOT = struct.Struct("=I")
_ABSENT = 0xFFFF_FFFF
_STAND_BACK_S = 0.002
_MOST_LEFT = 64  # taken at once of what was left lying
_OUT_OF_FILES_S = 0.1
_AT_ONCE = 4  # accepted in a row, where nobody else does: who made room has to close first


class Loads:
    """How many connections each worker has, in memory that all of them share.

    Each writes its own number, and reads the others' without any lock: an old one does no harm.
    """

    def __init__(self, fd: int, workers: int) -> None:
        """`fd`: of a file of `size(workers)` bytes."""
        self._shared = mmap.mmap(fd, self.size(workers))
        self._workers = workers

    @staticmethod
    def size(workers: int) -> int:
        return workers * _SLOT.size

    def tell(self, number: int, connections: int) -> None:
        _SLOT.pack_into(self._shared, number * _SLOT.size, connections)

    def leave(self, number: int) -> None:
        """Say that worker `number` accepts nothing."""
        self.tell(number, _ABSENT)

    def least(self, but: int) -> int | None:
        """Return the fewest that any worker but one has, None when that one is alone."""
        every = struct.unpack_from(f"={self._workers}I", self._shared)
        others = [one for number, one in enumerate(every) if number != but and one != _ABSENT]
        return min(others, default=None)


class Acceptor:
    """Accepts for worker `number` from `start` to `close`; `take` and `refuse` must not raise.

    `loads` None: nobody else accepts. `connections`: how many this worker has, those that were
    taken a moment ago included. `refuse` answers and closes what cannot be kept.
    """

    def __init__(
        self,
        listening: socket.socket,
        loads: Loads | None,
        number: int,
        *,
        connections: Callable[[], int],
        take: Callable[[socket.socket], None],
        refuse: Callable[[socket.socket], None],
    ) -> None:
        self._listening, self._loads, self._number = listening, loads, number
        self._connections, self._take, self._refuse = connections, take, refuse
        self._kept = -1  # a descriptor, for when there is no other
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._left = 1  # how much to take of what was left lying
        self._seldom = Seldom()

    def start(self) -> None:
        self._kept = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.tell()
        self._loop.add_reader(self._listening, self._readable)

    def close(self) -> None:
        """Accept no more, and let go of the socket; others that have it go on.

        Once nobody has it, whoever connects is refused at once, instead of left waiting.
        """
        self._loop.remove_reader(self._listening)
        if self._timer is not None:
            self._timer.cancel()
        self._listening.close()
        self._let_go()
        if self._loads is not None:
            self._loads.leave(self._number)

    def tell(self) -> int:
        """Tell the others how many we have, and return it."""
        mine = self._connections()
        if self._loads is not None:
            self._loads.tell(self._number, mine)
        return mine

    def _readable(self) -> None:
        if self._loads is None:
            self._accept(_AT_ONCE)
            return
        mine, least = self.tell(), self._loads.least(self._number)
        # Among many, a few more or less make no difference that is worth a wait.
        if least is not None and mine > least + least // 8:
            self._stand_back(_STAND_BACK_S)
        else:
            self._left = 1
            self._accept(1)

    def _stand_back(self, seconds: float) -> None:
        self._loop.remove_reader(self._listening)
        self._timer = self._loop.call_later(seconds, self._come_back)

    def _come_back(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listening, self._readable)
        self._accept(self._left)
        self._left = min(2 * self._left, _MOST_LEFT)  # nobody comes: a worker hangs

    def _accept(self, most: int) -> None:
        for _ in range(most):
            try:
                accepted, _address = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return  # somebody else has it, or nobody any more
            except OSError as error:
                self._seldom.log("accept", _logger, "cannot accept", reason=str(error))
                if error.errno not in {errno.EMFILE, errno.ENFILE} or not self._refuse_one():
                    self._stand_back(_OUT_OF_FILES_S)
                    return
                continue
            accepted.setblocking(False)
            self._take(accepted)
        if self._loads is not None:
            self.tell()

    def _refuse_one(self) -> bool:
        """Accept and refuse one by the descriptor that was kept; tell whether that was possible."""
        self._let_go()
        try:
            accepted, _address = self._listening.accept()
        except OSError:
            return False
        else:
            self._refuse(accepted)
        finally:
            with contextlib.suppress(OSError):  # somebody else was faster
                self._kept = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        return True

    def _let_go(self) -> None:
        if self._kept >= 0:
            os.close(self._kept)
            self._kept = -1
